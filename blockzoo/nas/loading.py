"""From files to a `Dataset`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from blockzoo.core.errors import DataError, RequestError
from blockzoo.nas.curves import Training
from blockzoo.nas.dataset import Dataset
from blockzoo.nas.folder import Folder, Part
from blockzoo.nas.formats.header import Header
from blockzoo.nas.formats.table import Table
from blockzoo.nas.published import published_space
from blockzoo.nas.space import MacroSpace

BUNDLED = Path(__file__).parent / "bundled"
"""Benchmarks that come with the package, a folder each."""
SURROGATE = "-surrogate"


def from_folder(
    folder: str | os.PathLike[str],
    extended: bool = False,
    seeds: int | Sequence[int] | None = None,
    devices: str | Sequence[str] | Literal[False] | None = None,
    include_static_info: bool = False,
    include_env_info: bool = False,
    validate_data: bool = True,
    preferred_ext: Sequence[str] | None = None,
    *,
    allow_pickle: bool = False,
) -> Dataset:
    """The benchmark in a folder of files `blox-base-SEED`, `blox-ext-SEED`, `blox-info`, `blox-env-SEED`, `blox-bench-DEVICE`.

    Args:
        folder: where the files lie; formats may be mixed file by file.
        extended: also load training accuracies, losses and top-5 (ten times the memory).
        seeds, devices: which to load; by default all that are there. `devices=False` for none.
        include_static_info, include_env_info: part of `full_info` by default.
        validate_data: check that parts agree with each other and with the space.
        preferred_ext: suffixes in order of preference, as in ["blox", "csv"]; others are not read.
        allow_pickle: open pickles where there is nothing else, with a reader of plain values.

    Raises:
        DataError: a part is missing or damaged, or parts do not belong together.
        RequestError: an unknown suffix.
    """
    files = Folder.open(folder, preferred_ext, allow_pickle)
    wanted = [seeds] if isinstance(seeds, int) else list(seeds) if seeds is not None else files.keys("base")
    if not wanted:
        raise DataError(f"{files.path}: no file blox-base-SEED in it")
    bases = {int(seed): _needed(files, Part("base", int(seed))) for seed in wanted}
    space = space_of(next(iter(bases.values()))[0])
    trainings = {
        seed: Training(space, base, _needed(files, Part("ext", seed)) if extended else None)
        for seed, base in bases.items()
    }
    static = _needed(files, Part("info"))[1] if include_static_info else _optional(files, Part("info"))
    env = {s: _needed(files, Part("env", s))[1] for s in bases} if include_env_info else {}
    names = [devices] if isinstance(devices, str) else [] if devices is False else devices
    bench = (
        {str(d): _needed(files, Part("bench", d))[1] for d in names}
        if names is not None
        else {str(d): t for d in files.keys("bench") if (t := _optional(files, Part("bench", d))) is not None}
    )
    if validate_data and (faults := disagreements(space, trainings, static)):
        raise DataError(f"{files.path}: {'; '.join(faults)}")
    return Dataset(
        space,
        trainings,
        static=static,
        env=env,
        bench=bench,
        title=files.path.name,
        include_static_info=include_static_info,
        include_env_info=include_env_info,
    )


def load(name: str = "mini", **options: Any) -> Dataset:
    """A benchmark that comes with the package; works without a network.

    Args:
        name: `mini`: networks of the space trained by this project on CIFAR-10, reduced, see docs/nas.md.
            `mini-surrogate`: the whole space as a model fitted to `mini` predicts it. Never a measurement.
        options: as in `from_folder`.
    """
    known = bundled()
    if name not in known:
        raise RequestError(f"benchmark {name!r}: bundled are {', '.join(known)}; from_folder reads a folder")
    if name.endswith(SURROGATE):
        from blockzoo.nas.surrogate import surrogate_of

        return surrogate_of(load(name.removesuffix(SURROGATE)), **options)
    dataset = from_folder(BUNDLED / name, **{"extended": True, **options})
    dataset.title = name
    return dataset


def bundled() -> list[str]:
    """Names that `load` takes."""
    names = sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()) if BUNDLED.is_dir() else []
    return [name + suffix for name in names for suffix in ("", SURROGATE)]


def open_benchmark(name: str) -> Dataset:
    """A bundled benchmark by its name, or the one in a folder."""
    return from_folder(name) if Path(name).is_dir() else load(name)


def space_of(header: Header) -> MacroSpace:
    """The space that a header states; the published one where it states none.

    Raises:
        DataError: its shape is not that of its ops, nodes and stages.
    """
    stated = header.get("search_space")
    if stated is None:
        return published_space()
    try:
        space = MacroSpace(tuple(stated["ops"]), stated["nodes"], stated["stages"])
        same = stated.get("shape", space.shape) == space.shape
    except (RequestError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"its search_space cannot be: {type(error).__name__} {error}") from None
    if not same:
        raise DataError("the shape of its search_space is not that of its ops, nodes and stages")
    return published_space() if space == published_space() else space


def disagreements(space: MacroSpace, trainings: dict[int, Training], static: Table | None) -> list[str]:
    """In what the parts of a dataset contradict each other or the space, one sentence each."""
    faults = []
    for seed, training in trainings.items():
        base = training.base
        if (twice := base.table.num_rows - len(set(base.hashes))) > 0:
            faults.append(f"seed {seed}: {twice:,} networks are there twice")
        if training.ext is not None and set(base.hashes) != set(training.ext.hashes):
            faults.append(f"seed {seed}: base and ext are about different networks")
        epochs = training.header.get("epochs")
        for part in filter(None, (base, training.ext)):
            for name, column in part.table.stored.items():
                lengths = (
                    {len(row) for row in column.data}
                    if column.ragged
                    else {column.data.shape[1]}
                    if column.is_list
                    else set()
                )
                if epochs and lengths - {epochs}:
                    faults.append(
                        f"seed {seed}: {name} has curves of {sorted(lengths)} epochs, its header says {epochs}"
                    )
    if static is not None and "arch_vec" in static:
        rows = np.unique(np.linspace(0, static.num_rows - 1, min(100, static.num_rows)).astype(int))
        some = static.take(rows)
        wrong = [
            h
            for h, v in zip(some["model_hash"], some["arch_vec"].tolist(), strict=True)
            if space.hash_alone(v) != h
        ]
        if wrong:
            faults.append(f"info: vectors are not those of their hashes, as that of {wrong[0]}")
    return faults


def _needed(files: Folder, part: Part) -> tuple[Header, Table]:
    found = files.read(part)
    if found is None:
        there = ", ".join(sorted(p.stem for p in files.files))
        raise DataError(f"{files.path}: no file {part.stem} in it; there are {there}")
    return found


def _optional(files: Folder, part: Part) -> Table | None:
    """A part that nobody asked for: there or not, and a pickle that may not be opened counts as not there."""
    there = set(files.files.get(part, {}))
    if not there or (there == {"pickle"} and not files.allow_pickle):
        return None
    found = files.read(part)
    return found[1] if found else None
