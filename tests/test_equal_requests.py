"""Equal requests give equal numbers, bit for bit: alone, among others, interrupted, and on a cluster."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.sweep import BlockwiseStudy, run_blockwise_study
from blockzoo.core.environment import environment
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import THREADS, NetworkSpec, TrialSpec
from blockzoo.sweep import run_sweep
from blockzoo.train import train_block
from blockzoo.training.reproducible import reproducible

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 2,
    "batch_size": 64,
    "num_blocks": 1,
    "base_channels": 4,
    "limit_train": 192,
    "latency": False,
    "device": "cpu",
}
BLOCK = "ResNetBasicBlock"


def numbers(record: Record) -> dict[str, Any]:
    """All that a training came to, but for its clock."""
    curves = {k: v for k, v in record.samples.items() if k != "seconds"}
    return {**curves, **{k: v for k, v in record.values.items() if "time" not in k}}


def stored(folder: Path) -> dict[str, dict[str, Any]]:
    return {r.subject: numbers(r) for r in Outputs.at(folder).store(create=False).records()}


def of_all_seeds(folder: Path) -> dict[str, dict[str, Any]]:
    """By fingerprint, whatever it took: a trial that was tried again says so beside its numbers."""
    by_fingerprint = {r.fingerprint: numbers(r) for r in Outputs.at(folder).store(create=False).records()}
    return {
        name: {k: v for k, v in values.items() if k != "attempts"} for name, values in by_fingerprint.items()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The truth: the trial by itself, in this process, whose own number of threads is another."""
    folder = tmp_path_factory.mktemp("alone")
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        train_block(BLOCK, "early", output=folder, **SMALL)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    return stored(folder)[f"{BLOCK}/early"]


def test_the_number_of_threads_shows_in_the_numbers_and_is_part_of_the_request(tmp_path: Path) -> None:
    """What all other tests here rely on: with other threads the bits differ, so equal bits are no accident."""
    options = {**SMALL, "epochs": 1, "limit_train": 64, "output": tmp_path}
    one, two = (train_block(BLOCK, "early", threads=n, **options).record for n in (THREADS, 2))
    assert numbers(one) != numbers(two)
    assert one.fingerprint != two.fingerprint and (one.spec["threads"], two.spec["threads"]) == (1, 2)
    assert one.environment["threads"] == 1 and two.environment["threads"] == 2


@pytest.mark.slow
def test_a_sweep_of_two_workers_and_what_is_left_of_an_interrupted_one(
    tmp_path: Path, alone: dict[str, Any]
) -> None:
    options = {**SMALL, "workers": 2}
    done = run_sweep([BLOCK, "MobileOneBlock"], "early", 1, output=tmp_path / "two", **options)
    assert done.plan.workers == 2 and done.plan.threads == THREADS
    run_sweep(["MobileOneBlock"], "early", 1, output=tmp_path / "rest", **options)
    rest = run_sweep([BLOCK, "MobileOneBlock"], "early", 1, output=tmp_path / "rest", **options)
    assert rest.plan.workers == 1
    assert stored(tmp_path / "two") == stored(tmp_path / "rest")
    assert stored(tmp_path / "two")[f"{BLOCK}/early"] == alone


def test_what_the_environment_and_the_program_have_set(
    tmp_path: Path, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning takes arguments that it is not given from the environment, and torch keeps settings in the process."""
    for name, value in {"GRADIENT_CLIP_VAL": "0.001", "MAX_STEPS": "1", "LIMIT_VAL_BATCHES": "1"}.items():
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "")
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            done = train_block(BLOCK, "early", output=tmp_path, **SMALL)
        assert torch.get_default_dtype() == torch.float64 and not torch.backends.mkldnn.enabled
    finally:
        torch.set_default_dtype(torch.float32)
    assert numbers(done.record) == alone and "arithmetic" not in done.record.environment
    assert os.environ["PL_TRAINER_MAX_STEPS"] == "1"


def test_other_arithmetic_is_said_and_stored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = environment()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    with reproducible(None):
        other = environment()
    assert "ATEN_CPU_CAPABILITY=default" in caplog.text
    assert other["arithmetic"] == "ATEN_CPU_CAPABILITY=default"
    assert other["environment_id"] != usual["environment_id"], "times do not compare either"


def test_a_trial_that_goes_on_after_an_epoch(tmp_path: Path, alone: dict[str, Any]) -> None:
    class Killed(BaseException): ...

    def kill(epoch: int, values: dict[str, float]) -> None:
        raise Killed

    for ending in (pytest.raises(Killed), None):
        options = {**SMALL, "output": tmp_path, "resume": True}
        if ending is not None:
            with ending:
                train_block(BLOCK, "early", on_epoch=kill, **options)
        else:
            again = train_block(BLOCK, "early", **options)
    assert numbers(again.record) == alone


@pytest.mark.slow
def test_on_ray(tmp_path: Path, alone: dict[str, Any]) -> None:
    pytest.importorskip("ray")
    run_sweep([BLOCK], "early", 1, workers=1, executor="ray", output=tmp_path, **SMALL)
    assert stored(tmp_path)[f"{BLOCK}/early"] == alone


def test_what_was_set_before_a_training_is_so_afterwards() -> None:
    def settings() -> tuple[Any, ...]:
        return (
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
        )

    before = settings()
    with reproducible(2):
        assert torch.get_num_threads() == 2 and torch.are_deterministic_algorithms_enabled()
        with reproducible(None):
            assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
    assert settings() == before


def test_older_records_keep_their_meaning() -> None:
    """Their specs say nothing of threads, so their fingerprints stay, and are not those of today's requests."""
    older = TrialSpec(NetworkSpec("ResNetBasicBlock/mid"), lr=0.01)
    spec = {k: v for k, v in older.to_json().items() if k != "threads"}
    assert TrialSpec(**spec).fingerprint() == older.fingerprint() == "4f39901ad2bca4b9"
    today = older.with_(threads=THREADS)
    assert today.fingerprint() != older.fingerprint() and today.comparable() != older.comparable()


@pytest.mark.slow
def test_block_wise_runs_have_threads_of_their_own(tmp_path: Path) -> None:
    """The same bits in this process, whose threads are others, and as one of two runs of a study."""
    study = BlockwiseStudy(
        {"model": "cnn", "config": [4, 4], "dataset": "digits", "limit_train": 96, "rounds": 3, "k": 2},
        {"step_size": [0.1, 0.3]},
        [],
        1,
    )
    setting = study.settings()[0]
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        alone = run_blockwise(study.config(setting, 0), None).reports
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    among = run_blockwise_study(study, output=tmp_path, workers=2)
    named = ("validation_loss", "train_loss", "validation_accuracy")
    expected = {name: [report[name] for report in alone] for name in named}
    assert {name: among[0].curves[name] for name in named} == expected
    assert study.threads == 1
    more = replace(study, base={**study.base, "threads": 2})
    assert more.threads == 2
    assert more.config(setting, 0).fingerprint() != study.config(setting, 0).fingerprint()
