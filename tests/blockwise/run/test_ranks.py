"""Runs of several real processes: equal to one process, and what is said when one is lost."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.engines.distributed import Distributed, check_equal_centres
from blockzoo.blockwise.engines.rounds import mean_loss
from blockzoo.blockwise.run.config import folder_name
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.identity import identified
from blockzoo.blockwise.run.reading import read_lines, run_status
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.cli import main
from blockzoo.core.errors import CheckFailed, RankLost, UsageError
from blockzoo.core.plugins import load_plugins
from blockzoo.execution.queue import cores
from tests.blockwise.runs import config, same, started, trained, wait_for_reports, words
from tests.sampled import sampled


def _torchrun(ranks: int, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [*command, "-m", "blockzoo.blockwise", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_are_jacobi_bit_for_bit(ranks: int, tmp_path: Path) -> None:
    """Four blocks on two and on four ranks, with momentum and a share that rests; then resumed on one process."""
    asked = config(
        "distributed",
        config=(12, 10, 8),
        options={"optimizer": "momentum", "share_of_active_workers": 0.5, "gamma": 0.9, "rounds": 6},
    )
    more = ["--share-of-active-workers", "0.5", "--gamma", "0.9"]
    done = _torchrun(ranks, *words(asked, tmp_path), *more)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "blockwise" / folder_name(asked)
    alone = replace(asked, options=replace(asked.options, training_mode="jacobi"))
    reference = run_blockwise(alone, tmp_path)
    assert reference.folder is not None
    assert same(trained(folder), trained(reference.folder))
    got, want = (
        torch.load(f / "checkpoint.pt", weights_only=True)["frame"] for f in (folder, reference.folder)
    )
    assert got["streams"][:-1] == want["streams"][:-1], "every block's own stream, from the rank that owns it"
    for a, b in zip(got["optimizers"][:-1], want["optimizers"][:-1], strict=True):
        assert a["state"].keys() == b["state"].keys()
        for key in a["state"]:
            assert torch.equal(a["state"][key]["momentum_buffer"], b["state"][key]["momentum_buffer"])
    reports = read_lines(folder / "progress.jsonl")
    for report, wanted in zip(reports, reference.reports, strict=True):
        assert report["train_loss"] == pytest.approx(wanted["train_loss"], rel=1e-5), "of all ranks alike"
    assert reports[-1]["communicated_bytes_total"] > 0 and reports[-1]["round"] == 6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_a_rank_leaves_no_thread_of_the_group_behind(tmp_path: Path) -> None:
    """A thread that still runs while the interpreter ends can abort a rank whose work was done."""
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [*command, str(script)], capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stderr
    during, after = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert any("gloo" in name for name in during), during
    assert not any("gloo" in name for name in after), after


RANK = """
import copy
import json
from pathlib import Path

from blockzoo.blockwise.run.runs import run_blockwise
from tests.blockwise.runs import config


def threads():
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


during = []
run_blockwise(config("distributed"), None, on_report=lambda values: during.append(threads()))
print(json.dumps(during[-1]))
print(json.dumps(threads()))
"""


@pytest.mark.slow
def test_a_worker_that_diverges_ends_all_ranks_alike(tmp_path: Path) -> None:
    asked = config("distributed", options={"step_size": 1e30, "rounds": 50})
    run = run_blockwise(asked, tmp_path, ranks=2)
    assert run.status == "diverged" and run.folder is not None
    assert "block" in run.reason and "smaller learning rate" in run.reason
    assert run_status(run.folder)["status"] == "diverged"  # type: ignore[index]


def test_more_ranks_than_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = config("distributed", config=(12,))
    for wrong, says in (
        (["--ranks", "3"], "3 ranks for 2 blocks"),
        (["--ranks", "0"], "--ranks 0"),
        (["--rank-timeout", "nan"], "--rank-timeout nan"),
    ):
        assert main(["blockwise", *words(asked, tmp_path), *wrong]) == 2
        assert says in capsys.readouterr().err
    assert main(["blockwise", *words(config(), tmp_path), "--ranks", "2"]) == 2
    assert "--training-mode distributed" in capsys.readouterr().err
    assert main(["blockwise", *words(asked, tmp_path), "--dry-run"]) == 0
    assert f"distributed by {min(2, cores())} processes" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.mutation("equal-centres")
def test_a_centre_of_its_own_is_found() -> None:
    one = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    other = copy.deepcopy(one)
    with torch.no_grad():
        one[1].running_mean[0] = other[1].running_mean[0] = float("nan")
    states = [one.state_dict(), copy.deepcopy(one.state_dict()), other.state_dict()]
    assert check_equal_centres(states) == 0, "a NaN is equal to itself"
    with torch.no_grad():
        other[1].num_batches_tracked += 1
    with pytest.raises(CheckFailed, match=r"1\.num_batches_tracked of rank 2 of 3"):
        check_equal_centres(states)


DRIFTS = """
import os, torch
from blockzoo.blockwise.contracts import CURRICULA

@CURRICULA.register("drifts")
class Drifts:
    \"\"\"All examples; in round 2 the second rank's centre moves by itself.\"\"\"
    def __init__(self, argument=""): ...
    def weights(self, round, frame):
        if round == 2 and os.environ.get("LOCAL_RANK") == "1":
            with torch.no_grad():
                frame.blocks[0].parameters[0][0, 0] += 1e-3
"""


@pytest.mark.slow
def test_ranks_that_drift_apart_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "drifts.py").write_text(DRIFTS)
    asked = config("distributed", curriculum="drifts", options={"gamma": 0.9}, config=(6,))
    plugins = load_plugins([str(tmp_path / "drifts.py")])
    with pytest.raises(CheckFailed, match="equal-centres"):
        run_blockwise(asked, tmp_path, ranks=2, plugins=plugins)
    status = run_status(tmp_path / "blockwise" / folder_name(asked))
    assert status is not None and status["status"] != "finished" and status["round"] < asked.options.rounds


@pytest.mark.slow
def test_more_ranks_than_blocks_under_torchrun(tmp_path: Path) -> None:
    done = _torchrun(3, *words(config("distributed", config=(12,)), tmp_path))
    assert done.returncode != 0 and "3 ranks for 2 blocks" in done.stderr


def test_a_rank_reports_of_its_own_block_what_the_others_hear(tmp_path: Path) -> None:
    """Else the sum of all losses depends on how many ranks, and so how many cores, there are."""
    frame = Frame.from_config(config("distributed", options={"k": 7}))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        engine = ENGINES["distributed"]()
        assert isinstance(engine, Distributed)
        blocks = list(range(len(frame.blocks)))
        own = [engine._work(frame, block) for block in blocks]
        exchanged = engine._exchanged(frame, blocks, own)
    finally:
        dist.destroy_process_group()
    for outcome, told in zip(own, exchanged, strict=True):
        assert len(set(outcome.result.losses)) == 7, "the steps differ, so their mean is another number"
        assert told.result.losses == [mean_loss([outcome.result])] * 7
        assert told.values is outcome.values


@pytest.mark.slow
def test_a_run_starts_its_own_ranks(tmp_path: Path) -> None:
    """Bit for bit jacobi; the caller has reports as they come, the network, and a whole folder; resumed on other ranks."""
    asked = config("distributed", options={"optimizer": "momentum", "gamma": 0.9, "rounds": 3})
    told: list[int] = []
    run_blockwise(asked, tmp_path, ranks=2, on_report=lambda report: told.append(report["round"]))
    more = replace(asked, options=replace(asked.options, rounds=5))
    run = run_blockwise(more, tmp_path, ranks=3, adopt=True, on_report=lambda r: told.append(r["round"]))
    assert told == [1, 2, 3, 4, 5]
    alone = run_blockwise(replace(more, options=replace(more.options, training_mode="jacobi")), None)
    assert same(dict(run.frame.model.state_dict()), dict(alone.frame.model.state_dict()))
    assert run.folder is not None and same(trained(run.folder), dict(alone.frame.model.state_dict()))
    assert [r["validation_loss"] for r in run.reports] == [r["validation_loss"] for r in alone.reports]
    status = run_status(run.folder)
    assert status is not None and status["status"] == "finished" and status["checked"]["equal-centres"] == 0
    with pytest.raises(UsageError, match="this run exists"):
        run_blockwise(more, tmp_path, ranks=2)


OWN = """
import json, os, signal, time
from pathlib import Path
from blockzoo.blockwise.contracts import CURRICULA

@CURRICULA.register("own")
class Own:
    \"\"\"All examples; in round 2 the second rank goes wrong, once the first one has kept what there was before.\"\"\"
    def __init__(self, argument=""):
        self.how = argument
    def weights(self, round, frame):
        if round == 2 and os.environ.get("LOCAL_RANK") == "1":
            [status] = Path(__file__).parent.glob("blockwise/*/status.json")
            while json.loads(status.read_text())["round"] < 2:
                time.sleep(0.05)
            os.kill(os.getpid(), getattr(signal, self.how))
"""


@pytest.mark.parametrize(
    ("how", "says"),
    sampled([("SIGSTOP", "--rank-timeout"), ("SIGKILL", "SIGKILL")], [("SIGKILL", "SIGKILL")], unpacked=True),
)
def test_a_rank_that_hangs_or_dies_ends_the_run(how: str, says: str, tmp_path: Path) -> None:
    """The ranks load the plugin that this process has loaded."""
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN)
    asked = config("distributed", curriculum=f"own:{how}", options={"rounds": 50})
    plugins = load_plugins([str(plugin)])
    folder = tmp_path / "blockwise" / folder_name(identified(asked))
    begin = time.monotonic()
    with pytest.raises(RankLost, match=says):
        run_blockwise(asked, tmp_path, ranks=2, patience=8, plugins=plugins)
    assert time.monotonic() - begin < 90
    status = run_status(folder)
    assert status is not None and status["status"] == "failed" and "RankLost" in status["reason"]
    assert status["round"] == 2 and (folder / "checkpoint.pt").exists()


@pytest.mark.slow
def test_a_run_whose_ranks_are_ended_says_so(tmp_path: Path) -> None:
    asked = config("distributed", options={"rounds": 100_000})
    folder = tmp_path / "blockwise" / folder_name(asked)
    with started(asked, tmp_path, "--ranks", "2") as process:
        wait_for_reports(folder, 2, process)  # after the first one the status still says 0
        process.terminate()
        process.wait(60)
    status = run_status(folder)
    assert status is not None and (status["status"], status["reason"]) == ("interrupted", "ended by SIGTERM")
    assert status["round"] >= 1


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    """Two processes without torchrun's own watch: one is killed, the other says what happened and how to go on."""
    asked = config("distributed", options={"rounds": 100_000}, report_sampling_rate=5)
    folder = tmp_path / "blockwise" / folder_name(asked)
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "blockzoo.blockwise", *words(asked, tmp_path)],
            env={**common, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        wait_for_reports(folder, 2, ranks[0])
        ranks[1].kill()
        errors = ranks[0].communicate(timeout=120)[1]
    finally:
        for process in ranks:
            process.kill()
            process.communicate()
    assert ranks[0].returncode == 1
    assert "another rank is lost" in errors and "--resume" in errors
    status = run_status(folder)
    assert status is not None and status["status"] == "failed" and "RankLost" in status["reason"]
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["round"] >= 5


def _free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
