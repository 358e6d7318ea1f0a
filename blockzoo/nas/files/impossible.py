"""Values that no training and no measurement can have: what makes a dataset file wrong although it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.nas.files.columns import HASH, VECTOR, Column
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.macro import MacroSpace

PERCENT = (0.0, 100.0)
FROM_ZERO = (0.0, np.inf)
SMALLEST = float(np.nextafter(0, 1))
POSITIVE = (SMALLEST, np.inf)


def impossible_values(header: Header, table: Table) -> list[str]:
    """What cannot be, one sentence each: values out of range or not finite, networks twice, curves of another length."""
    faults = list(_twice(table))
    for name, column in table.stored.items():
        faults += _out_of_range(name, column)
        faults += _other_epochs(name, column, header.get("epochs"))
        faults += _curve_or_value(name, column, header.get("epochs"))
    return faults


def impossible_networks(table: Table, space: MacroSpace) -> list[str]:
    """Hashes that no network of the space has, and vectors of another hash. Needs the hashes of the whole space."""
    index = space.indices_of_raw_hashes(table.stored["model_hash"].data)
    hashes = table["model_hash"]
    faults = []
    if (index < 0).any():
        faults.append(
            f"{int((index < 0).sum()):,} hashes are of no network of the space, as {hashes[int(np.argmin(index))]}"
        )
    if "arch_vec" in table and not faults:
        rehashed = space.hash(np.asarray(table["arch_vec"]))
        wrong = np.flatnonzero(rehashed != hashes)
        if len(wrong):
            faults.append(
                f"{len(wrong):,} vectors are not those of their hashes, as that of {hashes[wrong[0]]}"
            )
    return faults


def limits_of(name: str) -> tuple[float, float] | None:
    """Least and largest value that a column of this name can hold; None for text and columns of others."""
    if "top1" in name or "top5" in name:
        return PERCENT
    if "loss" in name or name in ("train_time_s", "flops"):
        return FROM_ZERO
    return POSITIVE if name in ("latency", "params") else None


def _twice(table: Table) -> Iterator[str]:
    if "model_hash" in table and table.num_rows:
        raw = np.ascontiguousarray(table.stored["model_hash"].data).view("V16").ravel()
        if (twice := len(raw) - len(np.unique(raw))) > 0:
            yield f"{twice:,} networks are there twice"


def _out_of_range(name: str, column: Column) -> Iterator[str]:
    limits = limits_of(name)
    if limits is None or column.kind in (HASH, VECTOR):
        return
    values = _flat(column.values)
    if values.dtype.kind not in "iuf":
        yield f"{name} holds text, not numbers"
        return
    wrong = ~((values >= limits[0]) & (values <= limits[1]) & np.isfinite(values))
    if wrong.any():
        allowed = "0 to 100" if limits == PERCENT else "0 or more" if limits == FROM_ZERO else "more than 0"
        yield f"{name} has {int(wrong.sum()):,} impossible values, as {values[wrong][0]:g} (it is {allowed})"


def _other_epochs(name: str, column: Column, epochs: int | None) -> Iterator[str]:
    if not column.is_list or column.kind == VECTOR:
        return
    lengths = {len(row) for row in column.data} if column.ragged else {column.data.shape[1]}
    if wrong := lengths - {epochs} if epochs else lengths if len(lengths) > 1 else set():
        yield f"{name} has curves of {', '.join(map(str, sorted(wrong)))} epochs, its header says {epochs or 'nothing'}"


def _curve_or_value(name: str, column: Column, epochs: int | None) -> Iterator[str]:
    """Of training and validation there is a number for each epoch, of the test images one: columns that were exchanged show."""
    part, _, quantity = name.partition("_")
    if epochs is None or epochs < 2 or quantity not in ("top1", "top5", "loss"):
        return
    if part in ("train", "val") and not column.is_list:
        yield f"{name} is one number a network, and a curve of {epochs} epochs is expected"
    if part == "test" and column.is_list:
        yield f"{name} is a curve, and one number a network is expected"


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype == object:
        return np.concatenate([np.ravel(part) for part in values]) if len(values) else np.zeros(0)
    return values.ravel()
