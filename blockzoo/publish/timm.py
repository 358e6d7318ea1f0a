"""Results as the two tables of timm's `results` folder: accuracies, and times; one pair for each comparable group.

Accuracies are percent there, parameters millions. What timm has and these results have not stands empty: crops, activations.
Source: https://github.com/huggingface/pytorch-image-models/tree/main/results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

from blockzoo.core.table import Row
from blockzoo.core.text import csv_lines, file_name
from blockzoo.publish.cells import Cell, cells_of

ACCURACIES = (
    "model",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "img_size",
    "crop_pct",
    "interpolation",
)
TIMES = (
    "model",
    "infer_img_size",
    "infer_samples_per_sec",
    "infer_step_time",
    "infer_batch_size",
    "param_count",
    "infer_gmacs",
    "infer_macts",
)
MILLION, BILLION = 1e6, 1e9


def timm_files(rows: Iterable[Row], top5: Mapping[str, float]) -> Iterator[tuple[str, Iterator[str]]]:
    """Names of files and their lines.

    Args:
        rows: of the results table.
        top5: test top-5 accuracies as fractions, by fingerprint.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells_of(rows):
        groups.setdefault(cell.group, []).append(cell)
    for group, cells in groups.items():
        name = file_name(f"{cells[0].dataset}-{cells[0].protocol}-{group}")
        accuracies = sorted(
            (_accuracy(cell, top5) for cell in cells if cell.accuracies),
            key=lambda line: (-float(line["top1"]), line["model"]),
        )
        if accuracies:
            yield f"results-{name}.csv", csv_lines(accuracies, ACCURACIES)
        by_way: dict[str, list[dict[str, Any]]] = {}
        for cell in cells:
            if cell.latency_ms is not None:
                by_way.setdefault(cell.timed_on, []).append(_time(cell))
        for way, lines in by_way.items():
            lines.sort(key=lambda line: (-float(line["infer_samples_per_sec"]), line["model"]))
            short = re.sub(r"-+", "-", file_name(way or "unknown"))[:60].strip("-").lower()
            yield f"benchmark-infer-{short}-{name}.csv", csv_lines(lines, TIMES)


def _accuracy(cell: Cell, top5: Mapping[str, float]) -> dict[str, str]:
    first = 100 * fmean(cell.accuracies)
    fifths = [100 * top5[print_] for print_ in cell.fingerprints if print_ in top5]
    fifth = fmean(fifths) if len(fifths) == len(cell.accuracies) else None
    return {
        "model": cell.model,
        "img_size": _text(cell.image_size, 0),
        "top1": f"{first:.3f}",
        "top1_err": f"{100 - first:.3f}",
        "top5": _text(fifth, 3),
        "top5_err": _text(None if fifth is None else 100 - fifth, 3),
        "param_count": _count(cell),
    }


def _time(cell: Cell) -> dict[str, str]:
    ms = cell.latency_ms or 0.0
    return {
        "model": cell.model,
        "infer_img_size": _text(cell.image_size, 0),
        "infer_samples_per_sec": f"{1000 / ms:.2f}" if ms else "",
        "infer_step_time": f"{ms:.3f}",
        "infer_batch_size": "1",
        "param_count": _count(cell),
        "infer_gmacs": _text(None if cell.macs is None else cell.macs / BILLION, 4),
    }


def _count(cell: Cell) -> str:
    return _text(None if cell.params is None else cell.params / MILLION, 4)


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
