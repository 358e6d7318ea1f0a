"""Whole sweeps that are interrupted, killed, starved of disk: nothing is lost, nothing doubled, no number changes."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from blockzoo.cli import main
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.faults import VARIABLE, parsed
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.execution.journal import standing
from blockzoo.sweep import run_sweep
from tests.execution.chaos import OF_SWEEPS
from tests.test_equal_requests import numbers

GRID = ("ResNetBasicBlock", "MobileOneBlock")
OPTIONS: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 3,
    "batch_size": 64,
    "num_blocks": 1,
    "base_channels": 4,
    "limit_train": 192,
    "device": "cpu",
    "latency": False,
    "workers": 2,
}
WORDS = (
    "--dataset digits --epochs 3 --batch-size 64 --num-blocks 1 --base-channels 4 --limit-train 192 --device cpu "
    "--no-latency --no-plots --workers 2 --positions early"
).split()


def begun(folder: Path, seeds: int, **variables: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "blockzoo", "sweep", "--blocks", *GRID, "--seeds", str(seeds), *WORDS]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **variables}
    said = folder.parent.joinpath(f"{folder.name}.said").open("wb")
    return subprocess.Popen([*command, "--output", str(folder)], env=environment, stdout=said, stderr=said)


def stored(folder: Path, *, history: bool = False) -> list[Record]:
    outputs = Outputs.at(folder)
    return outputs.store(create=False).records(history=history) if outputs.database.is_file() else []


def in_numbers(folder: Path) -> dict[str, Any]:
    """The numbers of all trials, whatever it took to come to them."""
    by_fingerprint = {}
    for record in stored(folder):
        assert record.status == "ok", record.reason
        record.values.pop("attempts", None)
        by_fingerprint[record.fingerprint] = numbers(record)
    return by_fingerprint


def nothing_doubled(folder: Path) -> bool:
    results = Counter(r.fingerprint for r in stored(folder, history=True) if r.status in FINAL)
    return set(results.values()) <= {1}


def nothing_left(folder: Path) -> list[str]:
    return sorted(p.name for place in ("checkpoints", ".results-spool") for p in (folder / place).glob("*"))


def until(reached: Callable[[], object], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until something of a sweep that has begun; what it said, where it ends before that or four minutes pass."""
    deadline = time.monotonic() + 240
    while not reached():
        said = folder.with_name(f"{folder.name}.said").read_text()
        assert process.poll() is None and time.monotonic() < deadline, (process.returncode, said)
        time.sleep(0.02)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("quiet")
    run_sweep(GRID, "early", 2, output=folder, **OPTIONS)
    return in_numbers(folder)


@pytest.mark.slow
def test_an_interrupted_sweep_says_where_it_stands_and_is_gone_on_with(
    tmp_path: Path, quiet: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    assert main(["sweep", "status", "--output", str(folder)]) == 2
    process = begun(folder, 2)
    outputs = Outputs.at(folder)
    until(lambda: outputs.sweep.is_file() and "running" in standing(outputs).counts, process, folder)
    assert standing(Outputs.at(folder)).alive
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    after = standing(Outputs.at(folder))
    assert not after.alive and set(after.counts) <= {"done", "queued"} and after.counts["queued"]
    assert {r.status for r in stored(folder)} <= {"ok"}, "what was interrupted did not fail"
    assert (folder / "results.csv").is_file()
    assert main(["sweep", "status", "--output", str(folder)]) == 0
    assert re.search(r"4 trials: .*\d queued; nobody works at them", capsys.readouterr().out)
    assert main(["sweep", "cancel", "--output", str(folder)]) == 2
    assert main(["sweep", "resume", "--output", str(folder), "--no-plots"]) == 0
    assert in_numbers(folder) == quiet and nothing_doubled(folder) and nothing_left(folder) == []
    assert standing(Outputs.at(folder)).counts == {"done": 4}


@pytest.mark.slow
def test_trials_without_a_result_are_the_exit_code_and_are_tried_again_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With code of one's own, which a folder cannot bring into a process by itself."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "import os, pathlib\nfrom torch import nn\n"
        "class Once(nn.Module):\n"
        "    def __init__(self, i, o, stride, position):\n"
        "        super().__init__()\n"
        "        if not pathlib.Path(__file__).with_name('good').exists(): raise ValueError('not yet')\n"
        "        self.convolution = nn.Conv2d(i, o, 3, stride, 1)\n"
        "    def forward(self, x): return self.convolution(x)\n"
    )
    words = ["sweep", "--blocks", "own.py:Once", "--output", "out", *WORDS]
    assert main(words) == 1
    assert "not yet" in capsys.readouterr().out
    Path("good").write_text("")
    assert main(["sweep", "resume", "--output", "out", "--plugin", "own.py", "--no-plots"]) == 1
    assert [r.status for r in stored(Path("out"), history=True)] == ["failed"], (
        "it has an outcome: it is not resumed"
    )
    assert main(["sweep", "retry", "--output", "out", "--no-plots"]) == 2, "the folder names code"
    assert "--plugin" in capsys.readouterr().err
    assert main(["sweep", "retry", "--output", "out", "--plugin", "own.py", "--no-plots"]) == 0
    assert [r.status for r in stored(Path("out"), history=True)] == ["failed", "ok"]


@pytest.mark.slow
def test_a_killed_worker_is_tried_again_and_its_row_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os, pathlib, signal\nfrom torch import nn\n"
        "class Weak(nn.Module):\n"
        "    def __init__(self, i, o, stride, position):\n"
        "        super().__init__()\n"
        "        seen = pathlib.Path(__file__).with_name('seen')\n"  # the processes that made one: that of the estimate first
        "        before = seen.read_text().split() if seen.exists() else []\n"
        "        if str(os.getpid()) not in before:\n"
        "            seen.write_text(' '.join([*before, str(os.getpid())]))\n"
        "            if len(before) == 1:\n"
        "                os.kill(os.getpid(), signal.SIGKILL)\n"
        "        self.convolution = nn.Conv2d(i, o, 3, stride, 1)\n"
        "    def forward(self, x): return self.convolution(x)\n"
    )
    options = {**OPTIONS, "epochs": 1, "workers": 1}
    run_sweep([f"{tmp_path}/own.py:Weak"], "early", 1, output=tmp_path / "out", **options)
    (record,) = stored(tmp_path / "out", history=True)
    assert record.status == "ok" and record.values["attempts"] == 2


@pytest.mark.slow
def test_a_full_disk_ends_a_sweep_with_a_word_and_costs_nothing(
    tmp_path: Path, quiet: dict[str, Any]
) -> None:
    code = begun(tmp_path, 2, BLOCKZOO_FAULT="queue.storing:2+:full").wait(timeout=240)
    assert code == 1 and len(stored(tmp_path)) == 1
    run_sweep(GRID, "early", 2, output=tmp_path, **OPTIONS)
    assert in_numbers(tmp_path) == quiet and nothing_doubled(tmp_path) and nothing_left(tmp_path) == []


def killed_at_random(folder: Path, draw: random.Random, names: Sequence[str]) -> None:
    """Begin a sweep, and kill what it is made of: one or all of its processes, at a moment of its life."""
    process = begun(folder, 2)
    until(psutil.Process(process.pid).children, process, folder)
    time.sleep(draw.uniform(0, 12))
    name = draw.choice(names)
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        servers = [p for p in family if p.ppid() == process.pid]
        workers = [p for p in family if p not in servers]
        victims = {"worker": workers, "server": servers, "supervisor": [psutil.Process(process.pid)]}[name]
        if victims:
            draw.choice(victims).kill()
    except psutil.NoSuchProcess:
        pass
    if name == "supervisor":
        process.wait()
        time.sleep(draw.uniform(0, 2))  # its workers may still end when the next sweep begins
    else:
        assert process.wait(timeout=400) in (0, 1)


@pytest.mark.parametrize(
    "moments", [pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(20_000)])]
)
def test_kill_9_at_random_moments_loses_and_doubles_nothing(
    tmp_path: Path, quiet: dict[str, Any], moments: int
) -> None:
    draw = random.Random(moments)
    for moment in range(moments):
        folder = tmp_path / str(moment)
        killed_at_random(folder, draw, ("worker", "server", "supervisor"))
        before = {r.fingerprint for r in stored(folder) if r.status in FINAL}
        run_sweep(GRID, "early", 2, output=folder, **OPTIONS)
        assert before <= set(in_numbers(folder))
        assert in_numbers(folder) == quiet and nothing_doubled(folder) and nothing_left(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", [f"{name}:{n}" for name in OF_SWEEPS for n in (1, 3)])
def test_kill_9_at_each_write_point(tmp_path: Path, quiet: dict[str, Any], point: str) -> None:
    begun(tmp_path, 2, **{VARIABLE: point}).wait(timeout=400)
    run_sweep(GRID, "early", 2, output=tmp_path, **OPTIONS)
    assert in_numbers(tmp_path) == quiet and nothing_doubled(tmp_path) and nothing_left(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["", "file.made", "file.made:x", "nowhere:1", "file.made:1:explode", "file.made:1:kill:2"]
)
def test_a_fault_that_there_is_not_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="POINT:N"):
        parsed(text)


def test_faults_are_read_as_documented() -> None:
    assert parsed("file.made:3") == ("file.made", 3, False, "kill")
    assert parsed("file.made:1+:full") == ("file.made", 1, True, "full")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="--output"):
        run_sweep(GRID, "early", 1, output=tmp_path, **OPTIONS)
