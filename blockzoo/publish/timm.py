"""Results as the two tables of timm's `results` folder: accuracies, and times; one pair for each comparable group.

Accuracies are percent there, parameters millions. What timm has and these results have not stands empty: crops, activations.
Source: https://github.com/huggingface/pytorch-image-models/tree/main/results.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean

from blockzoo.core.table import REPORTED, Row
from blockzoo.core.text import csv_lines, file_name
from blockzoo.publish.cells import Cell, cells_of, tier_of

log = logging.getLogger(__name__)

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
ENDINGS = {False: ".csv", True: "-reported.csv"}
"""Of names of files: of own and reproduced results, and of reported ones."""
SHOWN = 5


def timm_files(rows: Iterable[Row], top5: Mapping[str, float]) -> Iterator[tuple[str, Iterator[str]]]:
    """Names of files and their lines; what others reported stands in files of its own, whose names end with `-reported`.

    Times that are doubted are left out, which is said: the tables have no column for a doubt.

    Args:
        rows: of the results table.
        top5: test top-5 accuracies as fractions, by fingerprint.
    """
    accuracies: dict[str, list[dict[str, str]]] = defaultdict(list)
    times: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    doubted: list[str] = []
    for reported, cells in _apart(rows).items():
        for cell in cells:
            name = file_name(f"{cell.dataset}-{cell.protocol}-{cell.group}")
            if cell.accuracies:
                accuracies[f"results-{name}{ENDINGS[reported]}"].append(_accuracy(cell, top5))
            if cell.time_doubt:
                doubted.append(f"{cell.model} ({cell.time_doubt})")
            elif cell.latency_ms is not None:
                short = re.sub(r"-+", "-", file_name(cell.timed_on or "unknown"))[:60].strip("-").lower()
                ending = ENDINGS[cell.is_time_reported]
                times[f"benchmark-infer-{short}-{name}{ending}"].setdefault(cell.model, _time(cell))
    for file, lines in accuracies.items():
        yield file, csv_lines(_best_first(lines, "top1"), ACCURACIES)
    for file, of_models in times.items():
        yield file, csv_lines(_best_first(of_models.values(), "infer_samples_per_sec"), TIMES)
    if doubted:
        more = f", and {len(doubted) - SHOWN:,} more" if len(doubted) > SHOWN else ""
        log.warning(
            "%d times are left out, since they should not be taken as sure: %s%s; the other formats have them with the doubt",
            len(doubted), ", ".join(doubted[:SHOWN]), more,
        )  # fmt: skip


def _apart(rows: Iterable[Row]) -> dict[bool, list[Cell]]:
    """The cells of rows that were not rerun here, under True, and of all others."""
    of: dict[bool, list[Row]] = {False: [], True: []}
    for row in rows:
        of[tier_of(row) == REPORTED].append(row)
    return {reported: cells_of(own) for reported, own in of.items()}


def _best_first(lines: Iterable[dict[str, str]], column: str) -> list[dict[str, str]]:
    return sorted(lines, key=lambda line: (-float(line[column]), line["model"]))


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
