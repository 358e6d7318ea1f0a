"""The pickles that the published launcher leaves: `results_FIRST_LAST.pickle` of each worker, `combined.pickle` of all.

A result is a dict by hash: `train`, `valid`, `test` by epoch with lists of top1, top5 and loss, then params, flops, env and
time (H:MM:SS). A worker's file has its options in front, an object of the launcher's class: it is skipped unread.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockzoo.core.documents import describe
from blockzoo.core.errors import DataError
from blockzoo.nas.files.errors import DamagedFile
from blockzoo.nas.files.pickled import load_plain


@dataclass(frozen=True)
class Result:
    """One training, as columns of dataset files."""

    row: dict[str, Any]
    env: dict[str, str]
    static: dict[str, int]
    story: dict[str, Any]
    """Dataset and setting, where this project trained it; the published launcher's are all of cifar100."""


def published_results(path: Path) -> dict[str, Result | None]:
    """The results of a file by hash; None for a training that came to nothing.

    Raises:
        DataError: no such file, a pickle of something else, or one that is damaged.
    """
    try:
        raw = path.read_bytes()
        start = 0 if path.name == "combined.pickle" else _behind_first(raw)
        loaded = load_plain(raw[start:])
        if not isinstance(loaded, dict):
            raise DamagedFile("it holds no results by hash")
        return {str(text): _result(str(text), entry) if entry else None for text, entry in loaded.items()}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except DamagedFile as error:
        raise DataError(f"{path}: {error}") from None


def _behind_first(raw: bytes) -> int:
    """Where the second object begins; the first is looked through, not built. 0 where there is one object only."""
    try:
        for opcode, _, position in pickletools.genops(raw):
            if opcode.name == "STOP":
                return (position or 0) + 1 if (position or 0) + 1 < len(raw) else 0
    except Exception as error:  # whatever damaged bytes raise
        raise DamagedFile(f"it is no whole pickle: {error}") from None
    return 0


def _result(text: str, entry: Any) -> Result:
    try:
        train, valid, test = (_curves(entry[part]) for part in ("train", "valid", "test"))
        row = {
            "val_top1": valid["top1"],
            "test_top1": test["top1"][-1],
            "train_time_s": _seconds(entry["time"]),
            "train_top1": train["top1"],
            "train_loss": train["loss"],
            "train_top5": train["top5"],
            "val_loss": valid["loss"],
            "val_top5": valid["top5"],
            "test_loss": test["loss"][-1],
            "test_top5": test["top5"][-1],
        }
        env = {name: str(_only(value)) for name, value in sorted(entry["env"].items())}
        metadata = {name: entry[name] for name in ("dataset", "setting") if entry.get(name)}
        return Result(row, env, {"params": int(entry["params"]), "flops": int(entry["flops"])}, metadata)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DamagedFile(
            f"the result of {describe(text[:40])} lacks something: {type(error).__name__} {error}"
        ) from None


def published_entry(
    row: Mapping[str, Any], static: Mapping[str, Any], env: Mapping[str, Any], story: Mapping[str, Any]
) -> dict[str, Any]:
    """One training as the launcher's pickles have it, with what it was trained on beside it; `_result` reads it back."""
    epochs = len(row["val_top1"])

    def by_epoch(part: str) -> dict[int, dict[str, list[float]]]:
        return {
            e + 1: {name: [float(row[f"{part}_{name}"][e])] for name in ("top1", "top5", "loss")}
            for e in range(epochs)
        }

    test = {name: [float(row[f"test_{name}"])] for name in ("top1", "top5", "loss")}
    seconds = int(row["train_time_s"])
    return {
        "train": by_epoch("train"),
        "valid": by_epoch("val"),
        "test": {epochs: test},
        "params": int(static["params"]),
        "flops": int(static["flops"]),
        "env": dict(env),
        "time": f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        **{name: value for name, value in story.items() if value},
    }


def _curves(by_epoch: dict[int, dict[str, Any]]) -> dict[str, list[float]]:
    numbers = sorted(by_epoch)
    if numbers and len(numbers) > 1 and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ValueError(f"its epochs are {numbers[:8]}, some are missing")
    epochs = [by_epoch[epoch] for epoch in numbers]
    digits = {"top1": 3, "top5": 3, "loss": 6}
    return {name: [round(float(_only(e[name])), n) for e in epochs] for name, n in digits.items()}


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


def _seconds(text: str) -> int:
    hours, minutes, seconds = str(text).split(":")
    total = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if not math.isfinite(total) or total < 0:
        raise ValueError(f"time {text!r}")
    return round(total)
