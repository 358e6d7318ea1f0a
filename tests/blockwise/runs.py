"""Small block-wise runs that several tests share: their configuration, their command line, what they trained."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.reading import read_lines


def config(mode: str = "jacobi", **changes: Any) -> RunConfig:
    options = {"rounds": 4, "k": 2, "step_size": 0.1, "batch_size": 32, **changes.pop("options", {})}
    fields = {"dataset": "digits", "image_size": 8, "config": (12, 10), "limit_train": 128, **changes}
    return RunConfig(options=Options(training_mode=mode, **options), **fields)


def words(asked: RunConfig, output: Path) -> list[str]:
    """The command line of a configuration made by `config`."""
    o = asked.options
    return [
        *("--training-mode", o.training_mode, "--config", str(list(asked.config)), "--dataset", "digits"),
        *("--image-size", "8", "--limit-train", "128", "--rounds", str(o.rounds), "--K", str(o.k)),
        *("--step-size", str(o.step_size), "--batch-size", str(o.batch_size), "--optimizer", o.optimizer),
        *("--report-sampling-rate", str(asked.report_sampling_rate), "--output", str(output)),
    ]


def trained(folder: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["model"]
    return saved


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@contextmanager
def started(asked: RunConfig, output: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "blockzoo.blockwise", *words(asked, output), "--seed", "0", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_reports(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.time() + 120
    while time.time() < deadline and process.poll() is None:
        if (folder / "progress.jsonl").exists() and len(read_lines(folder / "progress.jsonl")) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])
