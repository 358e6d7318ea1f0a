"""From trained networks to the files of a benchmark: base, ext, env per seed, info, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import open_store
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec
from blockzoo.core.subject import Subject, as_stored
from blockzoo.core.together import finish, together
from blockzoo.nas.benchmark.results_pickles import published_results
from blockzoo.nas.files.checks import formula_against_records
from blockzoo.nas.files.columns import accuracy_total, percent_table
from blockzoo.nas.files.folder import FilePart
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.io import SUFFIXES, write_dataset_file
from blockzoo.nas.space.costs import Skeleton, static_info
from blockzoo.nas.space.macro import MacroSpace
from blockzoo.nas.space.published import published_space

Row = dict[str, Any]
ENVIRONMENT = ("cpu", "gpu", "python", "torch", "torchvision", "revision")
"""What env files say of each training."""


@dataclass
class Trained:
    """Rows of one benchmark by seed and hash, as they come from records or from published pickles."""

    rows: dict[int, dict[str, Row]] = field(default_factory=dict)
    env: dict[int, dict[str, Row]] = field(default_factory=dict)
    header: Header = field(default_factory=dict)
    static: dict[str, Row] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self.rows.values())


@dataclass(frozen=True)
class Release:
    """What was written, and what is not in it."""

    files: list[Path]
    networks: int
    seeds: list[int]
    holes: list[tuple[int, int]]
    unfinished: list[str]


def build_release(
    source: Path,
    output: Path,
    formats: Sequence[str] = ("native", "csv"),
    *,
    experiment_name: str | None = None,
    round_counts: bool = False,
    overwrite: bool = False,
    allow_pickle: bool = False,
) -> Release:
    """Write the dataset files of all networks of the macro space that a folder holds trainings of: all of them or none.

    Args:
        source: a results folder of `blockzoo nas train` or `sweep`, or a folder (or file) of published training pickles.
        output: folder for blox-base-SEED, blox-ext-SEED, blox-env-SEED, blox-info.
        formats: suffixes; a format that cannot hold a column exactly is refused with the column named.
        experiment_name: only trials of this name.
        round_counts: in .blox, write accuracies that are no count of 45,000, 5,000 or 10,000 images as the nearest one.
        overwrite: replace files that are there.
        allow_pickle: needed for published pickles.

    Raises:
        UsageError: nothing to write, trials of several settings, an unknown format, or a file is there.
    """
    if unknown := [name for name in formats if name not in SUFFIXES]:
        raise UsageError(f"format {unknown}: choose of {', '.join(SUFFIXES)}")
    trained = gathered(source, experiment_name, allow_pickle=allow_pickle)
    if not trained:
        raise UsageError(f"{source}: no finished training of a network of the macro space in it")
    parts = _parts(trained)
    if output.is_dir():
        finish(output)  # what a build that was killed had made
    targets = {part: [output / f"{part.stem}.{suffix}" for suffix in formats] for part in parts}
    there = [str(path) for paths in targets.values() for path in paths if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]}{' and others' * (len(there) > 1)}: already there; --overwrite replaces")
    with together(output) as folder:
        for part, (header, columns) in parts.items():
            for path in targets[part]:
                rounded = round_counts and path.suffix == ".blox"
                write_dataset_file(
                    folder / path.name, header, _nearest_counts(columns) if rounded else columns
                )
    written = [path for paths in targets.values() for path in paths]
    space = published_space()
    indices = {space.index_of_hash(text) for rows in trained.rows.values() for text in rows}
    return Release(written, len(indices), sorted(trained.rows), holes(indices), trained.unfinished)


def gathered(source: Path, experiment_name: str | None = None, *, allow_pickle: bool = False) -> Trained:
    """The trainings that a results folder, or pickles of the published launcher, hold.

    Raises:
        UsageError: trials of several settings, or pickles that are not allowed.
    """
    pickles = [source] if source.suffix.lower() == ".pickle" else sorted(source.glob("*.pickle"))
    if not pickles:
        return _from_store(source, experiment_name)
    if not allow_pickle:
        raise UsageError(
            f"{source} holds pickles, which can run code: --allow-pickle reads them as plain values"
        )
    return _from_pickles(pickles)


def holes(indices: set[int]) -> list[tuple[int, int]]:
    """Ranges (first, last) of missing networks between the first and the last that are there."""
    ranks = sorted(indices)
    return [(a + 1, b - 1) for a, b in pairwise(ranks) if b > a + 1]


# --- records ----------------------------------------------------------------------------------------


def _from_store(source: Path, experiment_name: str | None) -> Trained:
    records = [
        r
        for r in open_store(source).records("trial")
        if r.subject.startswith("macro:") and experiment_name in (None, r.experiment_name)
    ]
    finished = [r for r in records if r.status == "ok"]
    with as_stored():
        settings = {_setting(_spec(r), r.values.get("split")) for r in finished}
    if len(settings) > 1:
        several = "; ".join(sorted(str(dict(s)) for s in settings))
        raise UsageError(
            f"{source} holds trials of several settings ({several}): name one by --experiment-name"
        )
    trained = Trained(
        unfinished=[
            f"{r.subject} seed {r.spec['seed']}: {r.status}, {r.reason}" for r in records if r.status != "ok"
        ]
    )
    if not finished:
        return trained
    setting = dict(next(iter(settings)))
    trained.header = {"epochs": setting["epochs"], "dataset": setting["dataset"], "setting": setting}
    space = published_space()
    for record in finished:
        text = space.hash(_architecture(record.subject))
        assert text is not None  # it was trained, so it is valid
        seed = record.spec["seed"]
        trained.rows.setdefault(seed, {})[text] = _row(record)
        trained.env.setdefault(seed, {})[text] = {
            k: str(record.environment.get(k) or "-") for k in ENVIRONMENT
        }
    size = int(finished[0].values["image_size"] or 32)
    params, macs = static_info(space, Skeleton(setting["width"], 1, setting["classes"], size))
    for record in finished:
        index = space.index(_architecture(record.subject))
        assert index is not None
        formula = {"params": int(params[index]), "macs": int(macs[index])}
        formula_against_records(index, formula, record.values)
    for rows in trained.rows.values():
        for text in rows:
            index = space.index_of_hash(text)
            trained.static[text] = {
                "params": int(params[index]),
                "flops": int(macs[index]),
                "arch_vec": space.arch_vec(index),
            }
    return trained


def _spec(record: Record) -> TrialSpec:
    spec = TrialSpec(**record.spec)
    if spec.network.subject != record.subject:
        raise UsageError(
            f"the record {record.fingerprint} is of {record.subject}, but what it says was run is {spec.network.subject}: "
            "it was altered, and no benchmark is made of it"
        )
    return spec


def _setting(spec: TrialSpec, split: Any) -> tuple[tuple[str, Any], ...]:
    """Everything that trials of one benchmark share; of a part of the images, also which one it is."""
    _, _, width = Subject.parse(spec.network.subject).name.partition("@")
    return (
        ("dataset", spec.dataset),
        ("data_digest", spec.data_digest),
        ("protocol", spec.protocol),
        ("epochs", spec.epochs),
        ("batch", spec.batch_size),
        ("lr", spec.lr),
        ("image_size", spec.image_size),
        ("limit_train", spec.limit_train),
        *([("split", split)] if spec.limit_train else []),
        ("width", int(width or 32)),
        ("classes", spec.network.out_dim),
    )


def _architecture(subject: str) -> int | str:
    name = Subject.parse(subject).name.partition("@")[0]
    return int(name) if name.isdecimal() and len(name) < 32 else name


def _row(record: Record) -> Row:
    def percent(name: str) -> list[float]:
        return [round(value * 100, 3) for value in record.samples[name]]

    def losses(name: str) -> list[float]:
        return [round(value, 6) for value in record.samples[name]]

    values = record.values
    return {
        "val_top1": percent("val_acc"),
        "test_top1": round(float(values["test_acc"] or 0) * 100, 3),
        "train_time_s": round(sum(record.samples["seconds"])),
        "train_top1": percent("train_acc"),
        "train_loss": losses("train_loss"),
        "train_top5": percent("train_top5"),
        "val_loss": losses("val_loss"),
        "val_top5": percent("val_top5"),
        "test_loss": round(float(values["test_loss"] or 0), 6),
        "test_top5": round(float(values["test_top5"] or 0) * 100, 3),
    }


# --- published pickles ------------------------------------------------------------------------------


def _from_pickles(paths: Sequence[Path]) -> Trained:
    combined = next((path for path in paths if path.name == "combined.pickle"), None)
    trained = Trained(header={"dataset": "cifar100"})
    stories: dict[str, dict[str, Any]] = {}
    for path in [combined] if combined else paths:
        for text, entry in published_results(path).items():
            if entry is None:
                trained.unfinished.append(f"{text}: no result in {path.name}")
                continue
            stories[str(entry.story)] = entry.story
            trained.rows.setdefault(0, {})[text] = entry.row
            trained.env.setdefault(0, {})[text] = entry.env
            trained.static[text] = {**entry.static, "arch_vec": published_space().arch_vec(text)}
    trained.unfinished = [u for u in trained.unfinished if u.partition(":")[0] not in trained.rows.get(0, {})]
    if len(stories) > 1:
        raise UsageError(f"the pickles hold trainings of several settings: {'; '.join(sorted(stories))}")
    trained.header |= next(iter(stories.values()), {})
    lengths = {len(row["val_top1"]) for rows in trained.rows.values() for row in rows.values()}
    trained.header["epochs"] = max(lengths, default=0)
    return trained


# --- files ------------------------------------------------------------------------------------------

BASE = ("val_top1", "test_top1", "train_time_s")
EXT = ("train_top1", "train_loss", "train_top5", "val_loss", "val_top5", "test_loss", "test_top5")


def _parts(trained: Trained) -> dict[FilePart, tuple[Header, dict[str, Any]]]:
    space = published_space()
    parts: dict[FilePart, tuple[Header, dict[str, Any]]] = {}
    rank = {text: space.index_of_hash(text) for rows in trained.rows.values() for text in rows}
    setting = {k: v for k, v in trained.header.items() if k == "setting"}
    common = {k: trained.header[k] for k in ("epochs", "dataset")}
    for seed, rows in sorted(trained.rows.items()):
        hashes = sorted(rows, key=rank.__getitem__)
        for kind, names in (("base", BASE), ("ext", EXT)):
            columns = _columns(hashes, rows, names)
            parts[FilePart(kind, seed)] = (
                _header(
                    space,
                    "training",
                    columns,
                    seed=seed,
                    part=kind,
                    **common,
                    **(setting if kind == "base" else {}),
                ),
                columns,
            )
        env = _columns(hashes, trained.env[seed], tuple(next(iter(trained.env[seed].values()))))
        parts[FilePart("env", seed)] = (_header(space, "env", env, seed=seed), env)
    hashes = sorted(trained.static, key=rank.__getitem__)
    static = _columns(hashes, trained.static, ("params", "flops", "arch_vec"))
    parts[FilePart("info")] = (_header(space, "static", static), static)
    return parts


def _columns(hashes: list[str], rows: Mapping[str, Row], names: Sequence[str]) -> dict[str, Any]:
    return {"model_hash": hashes, **{name: [rows[text][name] for text in hashes] for name in names}}


def _nearest_counts(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracies as the nearest that a count of the published number of images gives."""

    def nearest(name: str, values: Any) -> Any:
        total = accuracy_total(name)
        return percent_table(total)[np.rint(np.asarray(values) * total / 100).astype(int)]

    return {name: nearest(name, values) if "top" in name else values for name, values in columns.items()}


def _header(space: MacroSpace, dataset_type: str, columns: Mapping[str, Any], **fields: Any) -> Header:
    return {**header_of(space, dataset_type), "columns": list(columns), **fields}


def header_of(space: MacroSpace, dataset_type: str) -> Header:
    """The fields that every header of a space has."""
    shape = {"shape": space.shape, "nodes": space.nodes, "stages": space.stages, "ops": list(space.ops)}
    return {"version": 1, "search_space": shape, "dataset_type": dataset_type}
