"""Values that cannot stand beside each other: of two parts of a benchmark, or of a part and its networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.nas.files.columns import accuracy_total
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.costs import KNOWN, Skeleton, static_info
from blockzoo.nas.space.macro import MacroSpace

Array = npt.NDArray[Any]
COUNTED = ("cifar10", "cifar100")
"""Datasets whose validation and test images are as many as the published ones."""
ROUNDED = 1.1e-3
"""Percent by which two accuracies of three decimals can seem to differ."""
INSTANT = 10.0
"""Seconds that networks train at the median where one of 0 s cannot be."""


def impossible_accuracies(*tables: Table) -> list[str]:
    """Of parts about the same networks: top-5 below top-1, and losses that are too small for what is classified wrongly.

    An image that is classified wrongly has a cross-entropy of ln 2 or more, for its class has at most half of the probability;
    one outside the top 5 has ln 6 or more.
    """
    faults: list[str] = []
    for split in ("train", "val", "test"):
        top1, top5, loss = (_of(tables, f"{split}_{what}") for what in ("top1", "top5", "loss"))
        faults += _unless(
            top1, top5, lambda a, b: a <= b + ROUNDED, f"{split}_top5", f"less than {split}_top1"
        )
        if split == "train":  # of images that are mixed, or under the eyes of a teacher
            continue
        small = f"less than {split}_top1 allows"
        faults += _unless(
            top1, loss, lambda a, b: b >= (1 - a / 100) * math.log(2) - 1e-3, f"{split}_loss", small
        )
    return faults


def impossible_counts(dataset: object, table: Table) -> list[str]:
    """Accuracies of validation and test images that no number of right ones gives."""
    faults = []
    for name in table if dataset in COUNTED else ():
        if "top" not in name or "train" in name:
            continue
        total = accuracy_total(name)
        for values in _rows(table[name]):
            counts = values * total / 100
            wrong = np.abs(counts - np.rint(counts)) > ROUNDED / 2 * total / 100
            if wrong.any():
                faults.append(f"{name} {values[wrong][0]:g} is no count of {total:,} images")
                break
    return faults


def impossible_times(table: Table) -> list[str]:
    """Trainings that took no time, where others take many seconds."""
    if "train_time_s" not in table or not table.num_rows:
        return []
    times = np.concatenate([np.ravel(row) for row in table["train_time_s"]])
    if times.dtype.kind not in "iuf" or not (none := int((times == 0).sum())):
        return []
    usual = float(np.median(times))
    return [f"train_time_s of {none:,} networks is 0, at the median {usual:g}"] if usual >= INSTANT else []


def impossible_costs(space: MacroSpace, skeleton: Skeleton, table: Table) -> list[str]:
    """Parameters and FLOPs (which are MACs here) that are not those of the network of the hash.

    Args:
        space: that the hashes are looked up in.
        skeleton: of the networks that were trained.
        table: with `model_hash`, and `params` and `flops` where it has them.
    """
    if not set(space.ops) <= set(KNOWN) or "model_hash" not in table:
        return []
    index = space.indices_of_raw_hashes(table.stored["model_hash"].data)
    is_known, hashes = index >= 0, table["model_hash"]
    faults = []
    for name, right in zip(("params", "flops"), static_info(space, skeleton), strict=True):
        if name not in table or table[name].dtype.kind not in "iuf":
            continue
        stated, formula = np.asarray(table[name]), right[index]
        wrong = np.flatnonzero(is_known & (stated != formula))
        if len(wrong):
            one = wrong[0]
            faults.append(
                f"{name} of {len(wrong):,} networks are not theirs, as {stated[one]:g} of {hashes[one]}, which has "
                f"{formula[one]:,}"
            )
    return faults


def repeated_seed(earlier: Table, table: Table) -> bool:
    """Whether every network of both has the same validation curve in both: a copy under another seed."""
    if "val_top1" not in earlier or "val_top1" not in table:
        return False
    one, other = (dict(zip(t["model_hash"].tolist(), t["val_top1"], strict=True)) for t in (earlier, table))
    shared = one.keys() & other.keys()
    several = len(shared) >= 10 and len({bytes(np.ravel(one[text]).data) for text in shared}) > 1
    return several and all(np.array_equal(one[text], other[text]) for text in shared)


def _of(tables: tuple[Table, ...], name: str) -> dict[str, Array] | None:
    """A column by hash, from the first part that has it."""
    for table in tables:
        if name in table and "model_hash" in table and table[name].dtype.kind in "iufO":
            return dict(zip(table["model_hash"].tolist(), table[name], strict=True))
    return None


def _unless(
    a: dict[str, Array] | None, b: dict[str, Array] | None, right: Any, name: str, what: str
) -> Iterator[str]:
    """A sentence on the networks for which two columns, epoch by epoch, are not right beside each other."""
    wrong = []
    for text in a.keys() & b.keys() if a is not None and b is not None else ():
        one, other = np.ravel(a[text]), np.ravel(b[text])  # type: ignore[index]
        if len(one) == len(other) and not np.all(right(one, other)):
            wrong.append(text)
    if wrong:
        yield f"{name} of {len(wrong):,} networks is {what}, as that of {min(wrong)}"


def _rows(values: Array) -> Iterator[Array]:
    """All numbers, a block of rows or a row of a ragged column at a time."""
    if values.dtype == object:
        yield from (np.ravel(row) for row in values)
    elif values.dtype.kind in "iuf":
        yield from (np.ravel(values[start : start + 4096]) for start in range(0, len(values), 4096))
