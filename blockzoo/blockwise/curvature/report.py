"""A network's curvature as a table, files and pictures: the coupling map and the spectra of its blocks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from blockzoo.blockwise.curvature.coupling import MATRICES, CouplingMap, coupling_map
from blockzoo.blockwise.curvature.diagonal import extreme_eigenvalues, trace
from blockzoo.blockwise.curvature.frozen_loss import Batches, LossFunction
from blockzoo.blockwise.curvature.hessian import How
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.data import as_batches
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.reading import read_array, read_checkpoint, read_lines, read_parameters
from blockzoo.core import consent
from blockzoo.core.contracts import RESULTS
from blockzoo.core.documents import first_line
from blockzoo.core.environment import environment
from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_text
from blockzoo.core.result import Result
from blockzoo.core.text import csv_text
from blockzoo.measure.deadline import Deadline
from blockzoo.report.heatmap import HeatMap, animate, draw_map, draw_strip, write_page

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.blockwise.curvature.keywords import SearchingKeywords
    from blockzoo.report.drawing import Figure

SHARE_OF_MAP = 0.7
"""Of the seconds that are given: what the map may take where spectra follow."""
OF_SPECTRUM = 160
"""Products that the spectrum of a block takes at most: its ends and its trace."""
NAMES = {"hessian": "Hessian", "ggn": "Gauss-Newton matrix"}


@RESULTS.register("curvature")
@dataclass(frozen=True, eq=False, repr=False)
class Curvature(Result):
    """The map, and one row per block."""

    coupling: CouplingMap
    blocks: list[dict[str, Any]]

    def headline(self) -> str:
        return self.coupling.headline()

    def table_rows(self) -> list[dict[str, Any]]:
        """One row per block; those of the pairs are `coupling.table_rows()`."""
        return list(self.blocks)

    def figure(self) -> Figure:
        """The map."""
        return self.coupling.figure()


def frame_of(config: RunConfig, run: Path | None = None) -> Frame:
    """The frame of a configuration; or of a run's folder, with the network as it was at its last checkpoint.

    Raises:
        UsageError: the folder holds no run that can be read, or names code that the user did not name.
    """
    if run is None:
        return Frame.from_config(config)
    try:
        run_config, _ = read_parameters(run)
        saved = read_checkpoint(run / "checkpoint.pt")
    except UsageError as error:
        raise UsageError(f"{run} is no folder of a block-wise run that can be read: {error}") from None
    with consent.text_of(run / "parameters.json"):
        frame = Frame.from_config(replace(run_config, data_dir=config.data_dir, device=config.device))
    try:
        frame.model.load_state_dict(saved["frame"]["model"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{run}: its checkpoint is of another network ({first_line(error)})") from None
    return frame


def measure(
    frame: Frame,
    batches: int,
    batch_size: int,
    *,
    spectra: bool = True,
    **searching: Unpack[SearchingKeywords],
) -> Curvature:
    """The map, and for each block its extreme eigenvalues and trace.

    Args:
        frame: the network, its loss, its training data and its blocks.
        batches: how many batches of the training data it is measured on.
        batch_size: examples in each of them.
        spectra: also compute eigenvalues and traces; without it these columns are None.
        searching: see `coupling_map`; `max_seconds` are for all of it, from the call (of a command: its start) on. Blocks whose
            spectra would not be done by then have none, and the map's `stopped` says so.
    """
    deadline = Deadline.of_command(searching.get("max_seconds"))
    data = frame.probe(batches, batch_size)
    if searching.get("max_seconds") is not None:
        searching["max_seconds"] = deadline.left()
    return curvature_of(frame.model, frame.criterion, data, frame.partition, spectra=spectra, **searching)


def curvature_of(
    model: nn.Module,
    loss_fn: LossFunction,
    batches: Batches,
    partition: How = "blocks",
    *,
    spectra: bool = True,
    **searching: Unpack[SearchingKeywords],
) -> Curvature:
    """The same of any network, loss and examples.

    Args:
        model: any network; it is left as it is.
        loss_fn: (output, target) -> one number, a mean or a sum over the examples.
        batches: (x, y), or several, as a DataLoader gives them once; the loss is over all of them.
        partition: what the blocks are, see `make_partition`.
        spectra: also compute eigenvalues and traces; without it these columns are None.
        searching: see `coupling_map`; `max_seconds` are for all of it, from the call on.

    Raises:
        UsageError, CheckFailed: as `coupling_map`.
    """
    deadline = Deadline(searching.get("max_seconds"))
    data = as_batches(batches)  # a loader that shuffles has other ones each time
    if searching.get("max_seconds") is not None:
        searching["max_seconds"] = deadline.left() * (SHARE_OF_MAP if spectra else 1.0)
    coupling = coupling_map(model, loss_fn, data, partition, **searching)
    blocks, left_out = list[dict[str, Any]](), list[str]()
    longest = OF_SPECTRUM * coupling.seconds / max(1, coupling.products)
    matrix = searching.get("matrix", "hessian")
    hessian = MATRICES[matrix](model, loss_fn, data, partition) if spectra else None
    for i, (label, size) in enumerate(zip(coupling.labels, coupling.sizes, strict=True)):
        row: dict[str, Any] = {
            "block": label,
            "parameters": size,
            "smallest": None,
            "largest": None,
            "converged": None,
            "trace": None,
        }
        if hessian is not None and longest > deadline.left():
            left_out.append(label)
        elif hessian is not None:
            before = deadline.left()
            ends = extreme_eigenvalues(hessian, i)
            row |= {"smallest": ends.smallest, "largest": ends.largest, "converged": ends.converged}
            row["trace"] = trace(hessian, i)
            longest = max(before - deadline.left(), longest if blocks else 0.0) if before < math.inf else 0.0
        blocks.append({**row, "row_norm": float(coupling.row_bounds()[1][i])})
    if left_out:
        note = f"no spectra of {', '.join(left_out)} (max_seconds)"
        coupling = replace(coupling, stopped="; ".join(filter(None, (coupling.stopped, note))))
    return Curvature(coupling, blocks)


def write(measured: Curvature, title: str, parent: Path) -> list[Path]:
    """coupling.csv (one row per pair), blocks.csv, coupling.json (how it was found), coupling.png, .pdf and .html.

    In `parent`/curvature, or where that has a map, in curvature-2, curvature-3, ...
    """
    names = [f"coupling{suffix}" for suffix in (".png", ".pdf", ".html", ".csv", ".json")] + ["blocks.csv"]
    paths = [free_folder(parent, names) / name for name in names]
    coupling = measured.coupling
    chart = coupling.heat_map(title)
    draw_map(chart, paths[0])
    draw_map(chart, paths[1])
    write_page(chart, paths[2])
    write_text(paths[3], csv_text(coupling.rows()))
    write_text(paths[4], json.dumps(_facts(coupling, title), indent=2) + "\n")
    write_text(paths[5], csv_text(measured.blocks))
    return paths


def free_folder(parent: Path, names: Sequence[str]) -> Path:
    """The first of curvature, curvature-2, ... in `parent` that has no file of one of these names."""
    for number in count(1):
        folder = parent / ("curvature" if number == 1 else f"curvature-{number}")
        if not any((folder / name).exists() for name in names):
            return folder
    raise AssertionError


def _facts(coupling: CouplingMap, title: str) -> dict[str, Any]:
    """What a map says of itself as a whole."""
    return {
        "title": title,
        "labels": coupling.labels,
        "parameters": coupling.sizes,
        "tol": coupling.tol,
        "failure": coupling.failure,
        "products": coupling.products,
        "seconds": coupling.seconds,
        "converged": bool(coupling.converged.all()),
        "stopped": coupling.stopped,
        "checked": coupling.checked,
        "environment": environment(),
    }


def draw_along(run: Path, parent: Path, most: int = 6) -> list[Path]:
    """The maps that a run's unit `coupling` measured: along.png, at most so many side by side, and along.gif, all of them.

    Earlier pictures stay: see `write`.

    Raises:
        UsageError: no run's folder, or that of one that measured no map.
    """
    lines = read_lines(run / "measurements.jsonl") if (run / "measurements.jsonl").exists() else []
    measured = [
        line for line in lines if "sigma" in line["values"] and isinstance(line["values"].get("labels"), list)
    ]
    if not measured:
        raise UsageError(f"{run}: name with --run the folder of a run that measured the unit coupling")
    charts = [
        HeatMap(
            read_array(run, line["values"]["sigma"], 2),
            tuple(map(str, line["values"]["labels"])),
            f"round {line['round']}",
            "spectral norm",
            {},
            _not_converged(run, line["values"]),
        )
        for line in measured
    ]
    folder = free_folder(parent, ["along.png", "along.gif"])
    places = np.unique(np.linspace(0, len(charts) - 1, most).round().astype(int))
    return [
        draw_strip([charts[place] for place in places], folder / "along.png"),
        animate(charts, folder / "along.gif"),
    ]


def _not_converged(run: Path, values: dict[str, Any]) -> npt.NDArray[np.bool_] | None:
    """Which entries of a measured map; None where an earlier version did not write it."""
    return ~read_array(run, values["converged"], 2).astype(bool) if "converged" in values else None
