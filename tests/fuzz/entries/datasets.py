"""Dataset files of benchmarks, in every format, and the launcher's pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.benchmark.results_pickles import published_entry, published_results
from blockzoo.nas.files.columns import percent_table
from blockzoo.nas.files.impossible import impossible_values
from blockzoo.nas.files.io import read_dataset_file, write_dataset_file
from blockzoo.nas.space.published import published_space, space_of
from tests.fuzz.formats import fuzzed


def tables() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Header and columns of three parts; the curves of one have different lengths."""
    rng, rows, space = np.random.default_rng(0), 6, published_space()
    hashes = [rng.bytes(16).hex() for _ in range(rows)]
    accuracies = percent_table(5000)
    training = {
        "model_hash": hashes,
        "val_top1": accuracies[rng.integers(100, 4000, (rows, 4))],
        "test_top1": percent_table(10_000)[rng.integers(100, 8000, rows)],
        "train_time_s": rng.integers(0, 10_000, rows),
        "val_loss": np.round(rng.uniform(0, 16, (rows, 4)), 6),
    }
    ragged = {
        "model_hash": hashes,
        "val_top1": [accuracies[rng.integers(0, 4000, 1 + i % 3)].tolist() for i in range(rows)],
    }
    env = {"model_hash": hashes, "gpu": [f"card {i % 2}" for i in range(rows)], "python": ["3.10"] * rows}
    search_space = {"search_space": {"ops": list(space.ops), "nodes": space.nodes, "stages": space.stages}}
    return {
        "training": (
            header_of(space, "training") | {"seed": 0, "epochs": 4, "part": "base", "dataset": "digits"},
            training,
        ),
        "ragged": ({"dataset_type": "training", **search_space, "seed": 1}, ragged),
        "env": (header_of(space, "env") | {"seed": 0}, env),
    }


def write(folder: Path, suffix: str, *, checksum: bool) -> list[Path]:
    paths = []
    for name, (header, columns) in tables().items():
        path = write_dataset_file(folder / f"{name}{suffix}", header, columns)
        if not checksum:
            path.with_name(f"{path.name}.sha256").unlink()
        paths.append(path)
    return paths


def read(path: Path) -> Any:
    """Everything that is done with a file before its numbers are used."""
    header, table = read_dataset_file(path, allow_pickle=True)
    try:
        space = space_of(header)
    except ValueError as error:  # the folder or the command that reads it names the file
        raise type(error)(f"{path.name}: {error}") from error
    values = {name: table[name] for name in table}
    ways = ("format", "column_types")
    return {k: v for k, v in header.items() if k not in ways}, space, values, impossible_values(header, table)


@fuzzed("native", checksum=True)
class Native:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".native", checksum=True)

    read = read


@fuzzed("blox", checksum=True)
class Blox:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".blox", checksum=True)

    read = read


@fuzzed("blox of others")
class BareBlox:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".blox", checksum=False)

    read = read


@fuzzed("csv", checksum=True, text=True)
class Text:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".csv", checksum=True)

    read = read


@fuzzed("csv of others", text=True)
class BareText:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".csv", checksum=False)

    read = read


@fuzzed("pickle", checksum=True)
class Pickle:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".pickle", checksum=True)

    read = read


@fuzzed("pickle of others")
class BarePickle:
    def write(folder: Path) -> list[Path]:
        return write(folder, ".pickle", checksum=False)

    read = read


@fuzzed("launcher's pickle")
class Launcher:
    def write(folder: Path) -> Path:
        row = {
            f"{part}_{name}": [50.0, 60.0] for part in ("train", "val") for name in ("top1", "top5", "loss")
        }
        row |= {"test_top1": 60.0, "test_top5": 90.0, "test_loss": 1.5, "train_time_s": 3661}
        entry = published_entry(row, {"params": 10, "flops": 20}, {"gpu": "none"}, {"dataset": "digits"})
        path = folder / "combined.pickle"
        path.write_bytes(pickle.dumps({f"{i:032x}": entry for i in range(3)}, protocol=4))
        return path

    def read(path: Path) -> Any:
        return published_results(path)
