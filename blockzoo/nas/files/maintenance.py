"""Dataset files and folders as a whole: convert, validate, compare, describe, merge."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.files.agreeing import (
    impossible_accuracies,
    impossible_costs,
    impossible_counts,
    impossible_times,
    repeated_seed,
)
from blockzoo.nas.files.folder import FilePart, Folder, misnamed, part_of
from blockzoo.nas.files.header import Header, same_content
from blockzoo.nas.files.impossible import impossible_networks, impossible_values
from blockzoo.nas.files.io import SUFFIXES, read_dataset_file, write_dataset_file
from blockzoo.nas.files.settings import contradictions, misfits, skeleton_of
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.published import space_of

log = logging.getLogger(__name__)


def convert(
    source: Path,
    target: Path,
    *,
    suffix: str | None = None,
    overwrite: bool = False,
    allow_pickle: bool = False,
) -> list[Path]:
    """Write a dataset file, or all files of a folder, in another format; returns what was written.

    Args:
        source: a file, or a folder of them.
        target: a file, or a folder into which all go.
        suffix: format of files in a folder: native, blox, csv or pickle.
        overwrite: replace files that are there.
        allow_pickle: may pickles be opened?

    Raises:
        UsageError: nothing to do, or a file is there.
        DataError: a file that cannot be read, or values that the format cannot hold.
    """
    if source.is_dir():
        if suffix is None or suffix not in SUFFIXES:
            raise UsageError(f"{source} is a folder: say the format, --to {' or '.join(SUFFIXES)}")
        folder = Folder.open(source, allow_pickle=allow_pickle)
        pairs = [
            (file, target / f"{part.stem}.{suffix}")
            for part in folder.files
            if (file := folder.file(part)) is not None
        ]
    else:
        if suffix and target.suffix not in ("", f".{suffix}"):
            raise UsageError(
                f"--to {suffix}: the suffix of {target} says another format; leave one of them out"
            )
        pairs = [(source, target / f"{source.stem}.{suffix}" if suffix and not target.suffix else target)]
    there = [str(path) for _, path in pairs if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{', '.join(there)}: already there; --overwrite replaces")
    written = []
    for file, path in pairs:
        header, table = read_dataset_file(file, allow_pickle=allow_pickle)
        written.append(write_dataset_file(path, _without_format(header), table))
    return written


def _without_format(header: Header) -> Header:
    return {name: value for name, value in header.items() if name not in ("format", "column_types")}


@dataclass(frozen=True)
class Checked:
    """What came of reading one file: seconds, rows, and what is wrong or different; `opened` is False for a pickle."""

    path: Path
    rows: int
    seconds: float
    faults: list[str]
    opened: bool = True


def validate(folder: Path, *, allow_pickle: bool = False) -> list[Checked]:
    """Load every dataset file of a folder, with its time, and compare the formats of each part with each other.

    The first readable format of a part, in the usual order, is what the others are compared with. Pickles that may not be
    opened are listed as such.

    Raises:
        DataError: no dataset file in it.
    """
    files = Folder.open(folder, allow_pickle=allow_pickle)
    checked: list[Checked] = []
    first_seed: Header | None = None
    bases: dict[int | str | None, Table] = {}
    for part in sorted(files.files, key=lambda part: (part.kind, isinstance(part.key, str), part.key or 0)):
        first: tuple[Header, Table] | None = None
        for suffix in files.order:
            if suffix not in files.files[part]:
                continue
            path = files.files[part][suffix]
            if suffix == "pickle" and not allow_pickle:
                checked.append(Checked(path, 0, 0.0, [], opened=False))
                continue
            begin = time.perf_counter()
            try:
                content = read_dataset_file(path, allow_pickle=allow_pickle)
            except DataError as error:
                checked.append(
                    Checked(path, 0, time.perf_counter() - begin, [str(error).removeprefix(f"{path}: ")])
                )
                continue
            seconds = time.perf_counter() - begin
            if part.kind == "base":
                first_seed = first_seed or content[0]
            faults = [*misnamed(part, *content), *contents_faults(*content)]
            if not faults:
                faults += _beside(part, bases, first_seed, content)
            if part.kind == "base":
                bases.setdefault(part.key, content[1])
            faults += _other_benchmark(first_seed, content[0])
            faults += differences(first, content) if first is not None else []
            checked.append(Checked(path, content[1].num_rows, seconds, faults))
            first = first or content
    return checked


def _beside(
    part: FilePart,
    bases: Mapping[int | str | None, Table],
    first_seed: Header | None,
    content: tuple[Header, Table],
) -> list[str]:
    """What cannot be beside the trainings that were read before: the base parts, by their seeds."""
    header, table = content
    stated = first_seed is not None and bool(first_seed.get("setting"))
    if part.kind == "info":
        if first_seed is None or not stated:  # nothing says how wide the networks are
            return []
        return impossible_costs(space_of(header), skeleton_of(first_seed), table)
    if part.kind == "base":
        others = [seed for seed, other in bases.items() if seed != part.key and repeated_seed(other, table)]
        return [f"it has the accuracies of seed {seed}, network by network" for seed in others]
    if part.kind != "ext":
        return []
    base = bases.get(part.key)
    if base is None:
        return [f"there is no readable base part of seed {part.key} beside it"]
    faults = impossible_accuracies(base, table)
    if faults and not stated:  # of other programs, which may count the two over other images
        log.warning(
            f"{part.kind} part of seed {part.key}, which does not say how it was made: {'; '.join(faults)}"
        )
        faults = []
    if set(base["model_hash"].tolist()) != set(table["model_hash"].tolist()):
        faults.append("it is about other networks than the base part of its seed")
    if not header.get("epochs") and first_seed is not None:
        faults += impossible_values({"epochs": first_seed.get("epochs")}, table)
    return faults


def _other_benchmark(first_seed: Header | None, header: Header) -> list[str]:
    """In what a file is not of the benchmark of the first seed's base."""
    if first_seed is None:
        return []
    if header["dataset_type"] == "benchmarking":
        faults = misfits(first_seed, header)
    else:
        base = header.get("part") == "base"
        faults = contradictions(first_seed, header, stated_by_both=not base)
        if base and header["columns"] != first_seed["columns"]:
            faults.append(
                f"columns {', '.join(header['columns'])} against {', '.join(first_seed['columns'])}"
            )
    return [f"not of one benchmark with the first seed: {fault}" for fault in faults]


def contents_faults(header: Header, table: Table) -> list[str]:
    """What cannot be in a dataset file that can be read: impossible values, networks of no space, a header of no space."""
    try:
        space = space_of(header)
    except DataError as error:
        return [str(error)]
    if "model_hash" not in table:
        return ["it has no column model_hash"]
    faults = [*impossible_values(header, table), *impossible_networks(table, space)]
    if not faults and header["dataset_type"] == "training":
        faults += [*impossible_counts(header.get("dataset"), table), *impossible_times(table)]
    return faults


def differences(a: tuple[Header, Table], b: tuple[Header, Table]) -> list[str]:
    """In what the contents of two dataset files differ, one sentence each."""
    sentences = [] if same_content(a[0], b[0]) else [_header_difference(a[0], b[0])]
    return sentences + a[1].differences(b[1])


def _header_difference(a: Header, b: Header) -> str:
    names = [
        n
        for n in dict.fromkeys([*a, *b])
        if n not in ("format", "column_types", "layout") and a.get(n) != b.get(n)
    ]
    return f"headers differ in {', '.join(names)}"


def merge(
    sources: Sequence[Path], target: Path, *, allow_pickle: bool = False, overwrite: bool = False
) -> Path:
    """One file from several with equal columns, each with networks of its own, as workers leave them.

    Raises:
        UsageError: fewer than two files, or `target` is there.
        DataError: headers differ, or a network is in two files with different values.
    """
    if len(sources) < 2:
        raise UsageError("merge: name two files or more")
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: already there; --overwrite replaces")
    read = [read_dataset_file(path, allow_pickle=allow_pickle) for path in sources]
    header = read[0][0]
    for path, (other, _) in zip(sources, read, strict=True):
        if not same_content(header, other):
            raise DataError(
                f"{path}: not of the same benchmark as {sources[0]}: {_header_difference(header, other)}"
            )
    rows: dict[str, tuple[int, int]] = {}
    for place, (_, table) in enumerate(read):
        for row, text in enumerate(table["model_hash"].tolist()):
            if text in rows:
                earlier, at = rows[text]
                if read[earlier][1].take(np.array([at])).differences(table.take(np.array([row]))):
                    raise DataError(
                        f"{sources[place]}: network {text} has other values than in {sources[earlier]}"
                    )
            else:
                rows[text] = (place, row)
    columns = {}
    for name in header["columns"]:
        values = [table[name] for _, table in read]
        columns[name] = [values[place][row] for place, row in rows.values()]
    return write_dataset_file(target, _without_format(header), columns)


def describe_file(path: Path, *, allow_pickle: bool = False) -> dict[str, object]:
    """What a dataset file says of itself, and how large it is."""
    header, table = read_dataset_file(path, allow_pickle=allow_pickle)
    part = part_of(path)
    return {
        "file": path.name,
        "part": part.stem if part else "-",
        "type": header["dataset_type"],
        "rows": table.num_rows,
        "columns": ", ".join(table),
        "epochs": header.get("epochs"),
        "dataset": header.get("dataset"),
        "file_bytes": path.stat().st_size,
        "memory_bytes": table.nbytes,
    }
