"""The folder of a block-wise run, a file at a time; the others stay whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.reading import (
    read_array,
    read_checkpoint,
    read_lines,
    read_parameters,
    run_status,
)
from blockzoo.blockwise.run.reports import ReportFolder, by_unit, record_of
from blockzoo.core.files import write_atomically
from tests.fuzz.formats import fuzzed


def write(folder: Path) -> Path:
    """A run of three rounds, by its own reporter."""
    config = RunConfig(config=(8,), dataset="digits")
    with ReportFolder(folder / "run") as reports:
        reports.parameters(
            {**config.to_json(), "fingerprint": config.fingerprint(), "environment": {"cpu": "x"}}
        )
        for number in range(1, 6):
            reports.progress({"round": number, "train_loss": 1.5 / number, "validation_loss": 2.0 / number})
            values = {"sigma": np.eye(3) * number, "labels": ["a", "b", "c"], "norm": 0.5}
            reports.measured(number, "coupling", values)
        reports.measured(5, "large", {"map": np.arange(70.0 * 70).reshape(70, 70)})
        reports.status("interrupted", "by the user", round=5, rounds=10)
        frame = {"round": 5, "model": {"weight": torch.arange(12.0).reshape(3, 4)}}
        state = {
            "frame": frame,
            "engine": None,
            "curriculum": None,
            "totals": {"seconds": 1.0},
            "clock": [0.0, []],
            "reports": [],
        }
        write_atomically(reports.checkpoint, lambda temporary: torch.save(state, temporary))
    return folder / "run"


@fuzzed("parameters.json", text=True)
class Parameters:
    def write(folder: Path) -> Path:
        return write(folder) / "parameters.json"

    def read(path: Path) -> Any:
        config, environment = read_parameters(path.parent)
        return config.to_json(), config.fingerprint(), environment


@fuzzed("progress.jsonl", text=True, quick=60)  # each is written anew, durable
class Progress:
    def write(folder: Path) -> Path:
        return write(folder) / "progress.jsonl"

    def read(path: Path) -> Any:
        lines = read_lines(path)
        asked = read_parameters(path.parent)[0]
        record_of(asked, "finished", "", lines, path.parent, {}, {})
        with ReportFolder(path.parent) as reports:
            reports.go_back_to(3)
        assert len(read_lines(path)) <= len(lines)
        return lines


@fuzzed("measurements.jsonl", text=True)
class Measurements:
    def write(folder: Path) -> Path:
        return write(folder) / "measurements.jsonl"

    def read(path: Path) -> Any:
        lines = read_lines(path)
        maps = [line["values"]["sigma"] for line in lines if "sigma" in line["values"]]
        arrays = []
        for value in maps:
            try:
                arrays.append(read_array(path.parent, value, 2))
            except ValueError as error:  # names the folder, since any line may hold it
                raise type(error)(f"{path.name}: {error}") from error
        return lines, by_unit(lines), arrays


@fuzzed("status.json", text=True)
class Status:
    def write(folder: Path) -> Path:
        return write(folder) / "status.json"

    def read(path: Path) -> Any:
        status = run_status(path.parent)
        if status is not None and status["status"] == "damaged":
            from blockzoo.core.errors import DataError

            raise DataError(status["reason"])
        return status


@fuzzed("array of a measurement", checksum=True)
class Arrays:
    def write(folder: Path) -> Path:
        return next((write(folder) / "arrays").iterdir())

    def read(path: Path) -> Any:
        return read_array(path.parents[1], {"file": f"arrays/{path.name}"}, 2)


@fuzzed("checkpoint of a run", checksum=True)
class Checkpoint:
    def write(folder: Path) -> Path:
        return write(folder) / "checkpoint.pt"

    read = read_checkpoint
