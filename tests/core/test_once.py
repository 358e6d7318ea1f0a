from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.core.errors import StoreError
from blockzoo.core.once import made_once, only_trainer

READER = """
import sys, time
from pathlib import Path
from blockzoo.core.once import made_once
path = Path(sys.argv[1]) / "table"

def make():
    path.parent.mkdir(exist_ok=True)
    with open(path.with_name("made"), "a") as made:
        made.write("x")
    time.sleep(1.0)
    path.write_text("whole")
    return "whole"

print(made_once(path, lambda: path.read_text() if path.exists() else None, make))
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCKZOO_CACHE", str(tmp_path / "cache"))


def test_six_first_readers_share_one_computation(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READER, str(tmp_path / "new")]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [reader.communicate(timeout=60)[0] for reader in readers] == ["whole\n"] * 6
    assert (tmp_path / "new" / "made").read_text() == "x"


def test_one_that_dies_leaves_it_to_the_next(tmp_path: Path) -> None:
    dying = READER.replace("time.sleep(1.0)", "import os; os._exit(1)")
    subprocess.run([sys.executable, "-c", dying, str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path)], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.stdout == "whole\n" and (tmp_path / "made").read_text() == "xx"


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert made_once(tmp_path / "table", lambda: None, lambda: "made") == "made"


TRAINER = """
import sys, time
from pathlib import Path
from blockzoo.core.once import only_trainer
with only_trainer(Path(sys.argv[1]) / "checkpoints" / "abc.ckpt"):
    print("trains", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_train_one_trial_and_a_dead_one_trains_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINER, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "trains\n"
        refused = pytest.raises(StoreError, match=r"another process is training this trial.*abc")
        with refused, only_trainer(tmp_path / "checkpoints" / "abc.ckpt"):
            pass
        with only_trainer(tmp_path / "checkpoints" / "other.ckpt"):
            pass
    finally:
        process.kill()
        process.wait()
    with only_trainer(tmp_path / "checkpoints" / "abc.ckpt"):
        pass
