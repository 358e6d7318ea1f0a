"""From files to a `Dataset`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from blockzoo.core.arguments import texts_of
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.benchmark.beside import (
    BenchmarkingDataset,
    EnvInfoDataset,
    Files,
    StaticInfoDataset,
    read_typed,
    several,
)
from blockzoo.nas.benchmark.curves import Training
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.files.folder import FilePart, Folder
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.impossible import impossible_values
from blockzoo.nas.files.settings import contradictions, misfits
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.macro import MacroSpace
from blockzoo.nas.space.published import space_of

BUNDLED = Path(__file__).parent / "bundled"
"""Benchmarks that come with the package, a folder each."""
SURROGATE = "-surrogate"
SAMPLED = 100
"""Vectors that are compared with their hashes."""


def from_folder(
    folder: str | os.PathLike[str],
    extended: bool = False,
    seeds: int | str | Sequence[int | str] | None = None,
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
        seeds: which to load; by default all that are there.
        devices: whose latencies to load; by default of all that are there, False for none.
        include_static_info: `full_info` says parameters and FLOPs by default.
        include_env_info: `full_info` says where networks were trained by default.
        validate_data: check that parts agree with each other and with the space.
        preferred_ext: suffixes in order of preference, as in ["blox", "csv"]; others are not read.
        allow_pickle: open pickles where there is nothing else, with a reader of plain values.

    Raises:
        DataError: a part is missing or damaged, or parts do not belong together.
        UsageError: an unknown suffix.
    """
    files = Folder.open(folder, preferred_ext, allow_pickle)
    wanted = seeds_named(seeds) if seeds is not None else files.keys("base")
    if not wanted:
        raise DataError(f"{files.path}: no file blox-base-SEED in it")
    bases = {int(seed): _needed(files, FilePart("base", int(seed))) for seed in wanted}
    space = space_of(next(iter(bases.values()))[0])
    exts = _extensions(files, list(bases)) if extended else {}
    trainings = {seed: Training(space, base, exts.get(seed)) for seed, base in bases.items()}
    static = _needed(files, FilePart("info")) if include_static_info else _optional(files, FilePart("info"))
    env = {s: _needed(files, FilePart("env", s)) for s in bases} if include_env_info else {}
    names = None if devices is None else [] if devices is False else texts_of(devices, "devices")
    bench = (
        {str(d): _needed(files, FilePart("bench", d)) for d in names}
        if names is not None
        else {
            str(d): t
            for d in files.keys("bench")
            if (t := _optional(files, FilePart("bench", d))) is not None
        }
    )
    dataset = Dataset.of(
        space,
        trainings,
        static=StaticInfoDataset.of(space, {None: static}) if static else None,
        env=EnvInfoDataset.of(space, env) if env else None,
        bench=BenchmarkingDataset.of(space, bench) if bench else None,
        title=files.path.name,
        include_static_info=include_static_info,
        include_env_info=include_env_info,
    )
    return validated(dataset, str(files.path), values=validate_data)


def seeds_named(seeds: Any) -> list[int]:
    """Seeds given as a number, as its text, or as several of either.

    Raises:
        UsageError: what is no seed.
    """
    several_given = (
        isinstance(seeds, Iterable) and not isinstance(seeds, str) and getattr(seeds, "ndim", 1) > 0
    )
    given = list(seeds) if several_given else [seeds]
    whole = [
        s
        for s in given
        if (isinstance(s, int | np.integer) and not isinstance(s, bool)) or str(s).isdecimal()
    ]
    if len(whole) != len(given) or not given:
        raise UsageError(f"seeds {seeds!r}: give whole numbers, as in seeds=0 or seeds=[0, 1]")
    return list(dict.fromkeys(int(seed) for seed in given))


def _extensions(files: Folder, seeds: Sequence[int]) -> dict[int, tuple[Header, Table]]:
    """The extended parts of all seeds; none, with a warning, where the folder has none at all.

    Raises:
        DataError: some seeds have one, others not.
    """
    there = [seed for seed in seeds if files.file(FilePart("ext", seed)) is not None]
    if not there:
        warnings.warn(
            f"{files.path} has no blox-ext-SEED that can be read: only the base is loaded", stacklevel=3
        )
        return {}
    return {seed: _needed(files, FilePart("ext", seed)) for seed in seeds}


def trainings_of_files(paths: Files) -> tuple[MacroSpace, dict[int, Training]]:
    """The space and the trainings by seed of files of base and ext parts.

    Raises:
        DataError: a file of another kind, a seed twice, or an ext part without its base.
    """
    bases: dict[int, tuple[Header, Table]] = {}
    exts: dict[int, tuple[Header, Table]] = {}
    for path in several(paths):
        header, table = read_typed(path, "training")
        seed, part = header.get("seed", 0), header.get("part", "base")
        if part not in ("base", "ext"):
            raise DataError(f"{path}: part {part!r} is neither base nor ext")
        into = bases if part == "base" else exts
        if seed in into:
            raise DataError(f"{path}: {part} of seed {seed} is there twice")
        if part == "ext" and seed not in bases:
            raise DataError(f"{path}: the ext part of seed {seed} should follow its base")
        into[seed] = header, table
    if exts and set(exts) != set(bases):
        raise DataError(f"seeds {sorted(set(bases) - set(exts))} have no ext part, others have")
    space = space_of(next(iter(bases.values()))[0])
    return space, {seed: Training(space, base, exts.get(seed)) for seed, base in bases.items()}


def load(name: str = "mini", **options: Any) -> Dataset:
    """A benchmark that comes with the package; works without a network.

    Args:
        name: `mini`: networks of the space trained by this project on CIFAR-10, reduced, see docs/nas.md.
            `mini-surrogate`: the whole space as a model fitted to `mini` predicts it. Never a measurement.
        options: as in `from_folder`.
    """
    names = bundled()
    if name not in names:
        raise UsageError(f"benchmark {name!r}: bundled are {', '.join(names)}; from_folder reads a folder")
    if name.endswith(SURROGATE):
        from blockzoo.nas.benchmark.surrogate import surrogate_of

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


def validated(dataset: Dataset, where: str, *, values: bool) -> Dataset:
    """The dataset, if its parts belong together.

    Args:
        dataset: as its files were read.
        where: for the message.
        values: also look at every value, not only at the headers.

    Raises:
        DataError: headers of different benchmarks, latencies of other networks, or values that cannot be.
    """
    faults = other_benchmarks(dataset)
    if values and not faults:
        faults = disagreements(dataset)
    if faults:
        raise DataError(f"{where}: {'; '.join(faults)}")
    return dataset


def other_benchmarks(dataset: Dataset) -> list[str]:
    """In what the headers of the parts are not of one benchmark, one sentence each."""
    trainings = dataset._trainings
    first, header = next((seed, training.header) for seed, training in trainings.items())
    faults = []
    for seed, training in trainings.items():
        for fault in contradictions(header, training.header):
            faults.append(f"seeds {first} and {seed} are of different benchmarks: {fault}")
        if training.columns != trainings[first].columns:
            faults.append(f"seeds {first} and {seed} have different columns: {training.columns}")
        if training.ext_header is not None:
            for fault in contradictions(training.header, training.ext_header, stated_by_both=True):
                faults.append(f"seed {seed}: base and ext are of different benchmarks: {fault}")
    for part in (dataset._static, dataset._env, dataset._bench):
        for key, own in part._headers.items() if part else ():
            name = own["dataset_type"] + (f" {key}" if key is not None else "")
            differ = contradictions(header, own, stated_by_both=True) if part is not dataset._bench else []
            same_space = {"search_space": header.get("search_space")}
            differ = differ or contradictions(same_space, own, stated_by_both=True) or misfits(header, own)
            faults += [f"{name} does not fit the trainings: {fault}" for fault in differ]
    return faults


def disagreements(dataset: Dataset) -> list[str]:
    """In what the parts of a dataset contradict each other, the space or what can be, one sentence each."""
    faults = [
        f"seed {s}: {fault}" for s, training in dataset._trainings.items() for fault in _in_training(training)
    ]
    for part in (dataset._static, dataset._bench):
        if not part:
            continue
        for key, indexed in part._tables.items():
            impossible = impossible_values(part._headers[key], indexed.table)
            faults += [f"{key or 'info'}: {fault}" for fault in impossible]
    if dataset._static is not None and dataset._static.has("arch_vec"):
        faults += _in_vectors(dataset._static._tables[None].table, dataset.space)
    return faults


def _in_training(training: Training) -> Iterator[str]:
    """Values of one seed that cannot be, and an extension that is about other networks."""
    yield from impossible_values(training.header, training.base.table)
    if (ext := training.ext) is not None:
        header = {**training.header, **(training.ext_header or {})}
        yield from (f"ext: {fault}" for fault in impossible_values(header, ext.table))
        if set(training.base.hashes) != set(ext.hashes):
            yield "base and ext are about different networks"


def _in_vectors(table: Table, space: MacroSpace) -> list[str]:
    """Vectors of rows from all over the table that have other hashes: the first."""
    rows = np.unique(np.linspace(0, table.num_rows - 1, min(SAMPLED, table.num_rows)).astype(int))
    sample = table.take(rows)
    stated = zip(sample["model_hash"], sample["arch_vec"].tolist(), strict=True)
    wrong = [model_hash for model_hash, vector in stated if space.hash_alone(vector) != model_hash]
    return [f"info: vectors are not those of their hashes, as that of {wrong[0]}"] if wrong else []


def _needed(files: Folder, part: FilePart) -> tuple[Header, Table]:
    if (read := files.read(part)) is None:
        there = ", ".join(sorted(p.stem for p in files.files))
        raise DataError(f"{files.path}: no file {part.stem} in it; there are {there}")
    return read


def _optional(files: Folder, part: FilePart) -> tuple[Header, Table] | None:
    """A part that nobody asked for: there or not, and a pickle that may not be opened counts as not there."""
    there = set(files.files.get(part, {}))
    if not there or (there == {"pickle"} and not files.allow_pickle):
        return None
    return files.read(part)
