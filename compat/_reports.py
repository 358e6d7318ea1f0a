"""The files that the earlier sandbox left of a run: reports/R*.txt, measurements/*_log.txt, figures/Measurements/*/*.pdf."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.blockwise.run.reading import read_array, read_lines
from blockzoo.core.files import append_text, write_text
from blockzoo.core.text import file_name
from blockzoo.report.heatmap import HeatMap, draw_map

LOGS = {
    "working-memory": "Memory Usage Measurement",
    "hessian": "Hessian Measurement",
    "coupling": "Hessian Block Interaction Measurement",
}
"""Units and what they were called: their logs have that name."""
MAPS = {
    "coupling": ("sigma", "block_offdiag_eig_heatmap"),
    "hessian": ("block_spectral_norms", "block_norms_heatmap"),
}
"""Units that measure a map of blocks: the value that is it, and what its pictures are called."""
FIGURES = Path("figures") / "Measurements" / "Hessian_Measurement"


class Report:
    """reports/R*.txt: what was asked for, a line for each report as it comes, and whether the process still lives.

    Args:
        asked: the earlier options; the file's name follows from them, and an earlier file of that name is replaced.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        text = json.dumps(asked, sort_keys=True)
        folder = Path("reports") / asked["reports_dir"]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"R{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]}.txt"
        head = f"Process ID: {os.getpid()}\nStatus: alive\nHyperparameters: {json.dumps(asked)}\n\n"
        write_text(self.path, head)

    def line(self, text: str) -> None:
        """One line, with the time."""
        append_text(self.path, f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {text}\n")

    def progress(self, report: dict[str, Any]) -> None:
        """A report of ours in the earlier words; loss and accuracy are those of the validation examples."""
        parts = [f"Energy = {report['validation_loss']}"]
        if "validation_accuracy" in report:
            parts.append(f"Accuracy = {round(report['validation_accuracy'], 2)}")
        moved = [value for value in report["deviation"] if value is not None]
        if moved:
            parts.append(f"Deviation = {sum(moved) / len(moved)}")
        self.line(f"Time {report['round'] / 1000}: {', '.join(parts)}")

    def close(self) -> None:
        """The process ends."""
        self.line("Process ended\n")
        alive, dead = "\nStatus: alive\n", "\nStatus: dead\n"
        write_text(self.path, self.path.read_text(encoding="utf-8").replace(alive, dead, 1))


def write_measurements(folder: Path, figures: Path) -> list[Path]:
    """The measurements of a run behind the earlier logs, and a picture of each map; returns all files.

    Args:
        folder: of the run.
        figures: for the pictures.
    """
    measured = folder / "measurements.jsonl"
    lines = read_lines(measured) if measured.exists() else []
    written: list[Path] = []
    for unit in dict.fromkeys(line["unit"] for line in lines):
        own = [line["values"] for line in lines if line["unit"] == unit]
        name = LOGS.get(unit, unit)
        path = Path("measurements") / f"{file_name(name.replace(' ', '_').lower())}_log.txt"
        path.parent.mkdir(exist_ok=True)
        head = f"Process ID: {os.getpid()}\nMeasurement Description: {name}\n\n"
        append_text(path, head + "".join(f"{_logged(unit, values, folder)}\n" for values in own))
        written.append(path)
        maps = [
            read_array(folder, values[MAPS[unit][0]], 2)
            for values in own
            if unit in MAPS and "error" not in values
        ]
        for number, values in enumerate(maps):
            figures.mkdir(parents=True, exist_ok=True)
            chart = HeatMap(
                values=values,
                labels=tuple(map(str, range(len(values)))),
                title=f"Block interaction, measurement {number}",
                quantity="largest singular value",
                details={},
            )
            written.append(draw_map(chart, figures / f"{MAPS[unit][1]}_{number:03d}.pdf"))
    return written


def _logged(unit: str, values: dict[str, Any], folder: Path) -> str:
    if "error" in values:
        return str(values["error"])
    if unit in MAPS:
        return np.array2string(
            read_array(folder, values[MAPS[unit][0]], 2), precision=6, separator=", ", threshold=10**9
        )
    if unit == "working-memory":
        return str(float(np.mean(values["client_memory_bytes"])) / 2**20)
    return json.dumps(values)
