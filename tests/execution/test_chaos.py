"""Kill, stop and starve a sweep at any moment, run it again: each trial has one result, that of an undisturbed sweep."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from blockzoo.core.faults import VARIABLE
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL
from tests.execution.chaos import EPOCHS, OF_SWEEPS, TRIALS

HANDS = ("worker", "server", "supervisor", "all", "hang a worker", "interrupt")


def truth() -> dict[str, list[float]]:
    """By hand: what each trial's sums are."""
    curves = {}
    for trial in TRIALS:
        curve = [(trial.seed + 1) * 1.0001 + 1.0]
        while len(curve) < EPOCHS:
            curve.append(curve[-1] * 1.0001 + 1.0)
        curves[trial.fingerprint()] = curve
    return curves


def begin(folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables}
    command = [sys.executable, "-m", "tests.execution.chaos", str(folder)]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    )


def whole(folder: Path) -> None:
    """After one more run all is there, once, with the right numbers, and nothing is left of the way to it."""
    assert begin(folder).wait(timeout=300) == 0
    store = Outputs.at(folder).store(create=False)
    assert {r.fingerprint: r.samples["val_acc"] for r in store.records()} == truth()
    counts = Counter(r.fingerprint for r in store.records(history=True) if r.status in FINAL)
    assert set(counts.values()) == {1}, "nothing is doubled"
    left = [p.name for place in ("checkpoints", ".results-spool") for p in (folder / place).glob("*")]
    assert left == []


def disturb(process: subprocess.Popen[bytes], hand: str, draw: random.Random) -> bool:
    """Do something to one of the processes of a sweep, or to all; whether one was there that it was done to."""
    met = False
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        servers = [p for p in family if p.ppid() == process.pid]
        workers = [p for p in family if p not in servers]
        for victim in {
            "worker": draw.sample(workers, min(1, len(workers))),
            "hang a worker": draw.sample(workers, min(1, len(workers))),
            "server": servers,
            "supervisor": [psutil.Process(process.pid)],
            "interrupt": [psutil.Process(process.pid)],
            "all": [psutil.Process(process.pid), *family],
        }[hand]:
            victim.send_signal(
                {"hang a worker": signal.SIGSTOP, "interrupt": signal.SIGINT}.get(hand, signal.SIGKILL)
            )
            met = True
    except psutil.NoSuchProcess:
        pass
    return met


@pytest.mark.parametrize(
    "moments", [pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]), 1]
)
def test_disturbed_at_random_moments(tmp_path: Path, moments: int) -> None:
    draw = random.Random(moments)
    began = time.monotonic()
    whole(tmp_path / "undisturbed")
    life, met = time.monotonic() - began, 0
    for moment in range(moments):
        folder, hand = tmp_path / str(moment), HANDS[moment % len(HANDS)]
        process = begin(folder)
        time.sleep(draw.uniform(0, life))
        met += disturb(process, hand, draw)
        process.wait(timeout=300)
        whole(folder)
    if moments > len(HANDS):  # of a few, all may come before the first worker or after the last
        assert met >= moments // 2, "moments at which nothing ran show nothing"


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("action", ["kill", "full", "denied"])
@pytest.mark.parametrize("point", OF_SWEEPS)
def test_disturbed_at_each_write_point(tmp_path: Path, point: str, action: str, n: int) -> None:
    code = begin(tmp_path, **{VARIABLE: f"{point}:{n}:{action}"}).wait(timeout=300)
    if n == 1 or point.startswith(("queue.", "store.")):  # how often files are written depends on the clock
        assert code == -signal.SIGKILL if action == "kill" else code > 0, "the supervisor met the fault"
    whole(tmp_path)


@pytest.mark.slow
def test_two_supervisors(tmp_path: Path) -> None:
    both = [begin(tmp_path), begin(tmp_path)]
    assert sorted(process.wait(timeout=300) for process in both) == [0, 1]
    whole(tmp_path)
