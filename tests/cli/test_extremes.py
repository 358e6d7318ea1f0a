"""Values that no library below takes, and the errors of the system: a sentence that names what was given, never a raw error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from blockzoo.cli import main
from blockzoo.core.errors import DataError, UsageError
from blockzoo.data import load_dataset
from blockzoo.sweep import run_sweep

LONG, HUGE = "a" * 300, "1" + "0" * 30
TRAIN = ["train", "ResNetBasicBlock", "--dataset", "digits", "--cpu", "--dry-run"]
BAD: dict[str, tuple[list[str], int]] = {
    "a name that no file can have": (["sweep", "status", "--output", LONG], 1),
    "the same of a dataset file": (["nas", "fidelity", "--benchmark", LONG], 1),
    "a folder within a file": (["store", "export", "/dev/null/results"], 1),
    "more than 64 bits": (["profile", "ResNetBasicBlock", "--num-classes", HUGE], 2),
    "one of several": (["benchmark", "ResNetBasicBlock", "--batch-sizes", "1", HUGE], 2),
    "a side of more pixels than an image has": ([*TRAIN, "--image-size", "1000000000"], 2),
    "no seed": (["nas", "supernet", "--seed", "-1"], 2),
}


@pytest.mark.parametrize("words, code", BAD.values(), ids=BAD)
def test_what_cannot_be_is_said(
    words: list[str],
    code: int,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    said = capsys.readouterr().err
    assert "--debug shows where" not in said and "Error" not in said, said


@pytest.mark.parametrize(
    "error", [MemoryError("10 GiB"), RuntimeError("[enforce fail] can't allocate memory: 8 bytes")]
)
def test_a_full_memory_is_said(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("blockzoo.profile.profile_block", full)
    assert main(["profile", "ResNetBasicBlock"]) == 1
    said = capsys.readouterr().err
    assert "does not fit in memory" in said and str(error)[:6] in said and "--debug" not in said


def test_images_that_do_not_fit_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        available = 2**30

    monkeypatch.setattr(psutil, "virtual_memory", Full)
    with pytest.raises(DataError, match=r"digits at 1024 x 1024 pixels; it needs .* GiB, and 1"):
        load_dataset("digits", image_size=1024)


@pytest.mark.parametrize(
    "wrong", [{"blocks": None}, {"blocks": 3}, {"positions": 1.5}, {"seeds": 0.5}, {"seeds": None}]
)
def test_a_grid_of_other_types(wrong: dict[str, Any], tmp_path: Path) -> None:
    asked: dict[str, Any] = {"blocks": ["ResNetBasicBlock"], "positions": "mid", "seeds": 1}
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} cannot be"):
        run_sweep(**(asked | wrong), dataset="digits", output=tmp_path, dry_run=True)
