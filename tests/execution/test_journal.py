"""What others are told of a sweep, and what the next one clears away: never what somebody else is writing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.locks import locked
from blockzoo.core.outputs import Outputs
from blockzoo.execution.journal import is_alive, standing
from blockzoo.execution.queue import collect, only_writer

TRIAL = ["a" * 16, "ResNetBasicBlock/mid", 0, 3]


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    made = Outputs.at(tmp_path)
    made.sweep.write_text(json.dumps({"version": 1, "kind": "trial", "request": None, "trials": [TRIAL]}))
    return made


def note(outputs: Outputs, **others: Any) -> None:
    runs = {TRIAL[0]: {"state": "running", "epoch": 2, "since": time.time()}}
    known = {"process": os.getpid(), "host": platform.node(), "at": time.time(), "running": runs}
    outputs.running.write_text(json.dumps({**known, **others}))


def test_a_process_that_got_the_number_of_a_killed_sweep_is_none(outputs: Outputs) -> None:
    note(outputs)
    assert not is_alive(outputs), "no lock"
    outputs.lock.touch()
    assert not is_alive(outputs) and standing(outputs).counts == {"queued": 1}, "nobody holds it"
    with only_writer(outputs):
        assert is_alive(outputs) and standing(outputs).counts == {"running": 1}
    assert not is_alive(outputs)


@pytest.mark.parametrize(
    "others",
    [{"process": 10**30}, {"process": 2**31}, {"host": "other", "at": 0}, {"host": "other", "at": 1e12}],
)
def test_a_note_that_cannot_be(outputs: Outputs, others: dict[str, Any]) -> None:
    note(outputs, **others)
    with locked(outputs.lock):
        assert not is_alive(outputs)


TRAINING = """
import sys
from pathlib import Path
from blockzoo.core.once import only_trainer

with only_trainer(Path(sys.argv[1])):
    print("trains", flush=True)
    sys.stdin.read()
"""


def test_what_another_training_writes_is_not_cleared_away(tmp_path: Path) -> None:
    """A sweep begins in a folder in which `train`, or a sweep into another table, is about to save an epoch."""
    other, here = Outputs.at(tmp_path / "a.csv"), Outputs.at(tmp_path / "b.csv")
    checkpoints = other.checkpoint("x").parent
    checkpoints.mkdir()
    saving, left = (checkpoints / f".{name * 16}-0123456789abcdef.ckpt" for name in "ab")
    user = [tmp_path / ".b-mine.csv", checkpoints / ".my-notes", tmp_path / ".b-0123456789abcdef.txt"]
    table = tmp_path / ".b-0123456789abcdef.csv"
    for path in (saving, left, table, *user):
        path.write_text("x")
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(other.checkpoint("a" * 16))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert training.stdin is not None and training.stdout is not None
    assert training.stdout.readline() == "trains\n"
    collect(here, here.store())
    assert saving.exists() and all(path.exists() for path in user)
    assert not left.exists() and not table.exists()
    training.communicate("")
    collect(here, here.store())
    assert not saving.exists()
