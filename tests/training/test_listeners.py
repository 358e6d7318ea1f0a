"""Callbacks and loggers: what they hear, what they change, and how a training says that it had them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger

from blockzoo.core.errors import OutOfMemory, UsageError
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.data import load_dataset
from blockzoo.train import train_block
from blockzoo.training.listeners import BY_NAME, SILENT, Listeners, identity_of, listeners_of, logger_of
from blockzoo.training.process import TrainingProcess
from blockzoo.training.trial import run_trial
from blockzoo.trials.training import circumstances, train_spec

TINY: dict[str, Any] = {"base_channels": 4, "num_blocks": 1}
SPEC = TrialSpec(
    NetworkSpec("ResNetBasicBlock/mid", **TINY),
    dataset="digits",
    epochs=2,
    batch_size=32,
    lr=0.2,
    limit_train=64,
)


class Reads(L.Callback):
    """Hears of each epoch."""

    def __init__(self, every: int = 1) -> None:
        self.every, self.heard = every, list[dict[str, float]]()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.heard.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class Shrinks(L.Callback):
    """Changes weights."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any) -> None:
        with torch.no_grad():
            for parameter in pl_module.parameters():
                parameter.mul_(0.5)


def trained(spec: TrialSpec = SPEC, **listeners: Any) -> Record:
    return run_trial(spec, load_dataset("digits"), TrainingProcess(listeners=Listeners(**listeners)))


def numbers(record: Record) -> dict[str, Any]:
    return {k: v for k, v in record.samples.items() if k != "seconds"} | {"test": record.values["test_acc"]}


def test_what_only_listens_changes_no_number(tmp_path: Path) -> None:
    plain, callback, logger = trained(), Reads(), CSVLogger(tmp_path)
    heard = trained(callbacks=(callback,), loggers=(logger,))
    assert numbers(heard) == numbers(plain) != numbers(trained(callbacks=(Shrinks(),)))
    assert callback.heard[-1]["val_loss"] == pytest.approx(plain.samples["val_loss"][-1])
    assert callback.heard[-1]["train_acc"] == pytest.approx(plain.samples["train_acc"][-1])
    written = (Path(logger.log_dir) / "metrics.csv").read_text()
    assert all(name in written.splitlines()[0] for name in ("val_acc", "train_loss", "test_acc"))
    told = yaml.unsafe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert told["lr"] == SPEC.lr and told["network"] == heard.spec["network"], "what was trained, and how"
    assert heard.environment["loggers"] == "CSVLogger" and "loggers" not in plain.environment
    assert heard.environment["environment_id"] != plain.environment["environment_id"]


class OfOne(CSVLogger):
    """Refuses what a second training asks for, as MLflow does."""

    def log_hyperparams(self, params: Any = None) -> None:
        raise ValueError("changing values is not allowed\nsecond line")


def test_a_logger_that_refuses_a_request_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = OfOne(tmp_path)
    assert numbers(trained(loggers=(logger,))) == numbers(trained())
    assert "OfOne does not take what is trained" in caplog.text and "second line" not in caplog.text
    assert "val_acc" in (Path(logger.log_dir) / "metrics.csv").read_text()


def test_a_training_with_callbacks_is_another_request(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"dataset": "digits", "epochs": 2, "limit_train": 64, "latency": False, **TINY}
    plain = train_block("ResNetBasicBlock/mid", output=tmp_path, **asked)
    logged = train_block(
        "ResNetBasicBlock/mid", output=tmp_path, loggers=[CSVLogger(tmp_path / "logs")], **asked
    )
    assert logged.record.fingerprint == plain.record.fingerprint and numbers(logged.record) == numbers(
        plain.record
    )
    stopping, same = (EarlyStopping("val_loss", patience=0, stopping_threshold=1e9) for _ in range(2))
    stopped = train_block("ResNetBasicBlock/mid", output=tmp_path, callbacks=[stopping], **asked)
    assert len(stopped.table_rows()) == 1 < len(plain.table_rows()) == 2
    assert stopped.record.fingerprint != plain.record.fingerprint
    assert stopped.row["comparable"] != plain.row["comparable"]
    assert "callbacks, which can change its numbers: lightning.pytorch" in stopped.row["said"]
    assert TrialSpec.from_json(stopped.record.spec).callbacks == identity_of(same)


def test_older_fingerprints_stay() -> None:
    assert (
        "callbacks" not in SPEC.identity() and SPEC.with_(callbacks="x").fingerprint() != SPEC.fingerprint()
    )


def test_equal_callbacks_are_one_request_and_others_another() -> None:
    assert identity_of(Reads()) == identity_of(Reads()) != identity_of(Reads(2))
    assert identity_of(EarlyStopping("a", patience=1)) == identity_of(EarlyStopping("a", patience=1))
    assert identity_of(EarlyStopping("a", patience=1)) != identity_of(EarlyStopping("a", patience=2))
    one, other = LambdaCallback(setup=lambda *_: 1), LambdaCallback(setup=lambda *_: 2)
    assert identity_of(one) != identity_of(other)
    assert identity_of(Reads()).startswith(f"{__name__}.Reads ")


def test_checkpoints_of_lightning_can_be_asked_for(tmp_path: Path) -> None:
    trained(SPEC.with_(epochs=1), callbacks=(ModelCheckpoint(tmp_path, filename="own"),))
    assert (tmp_path / "own.ckpt").is_file()


@pytest.mark.parametrize(
    ("callbacks", "loggers", "says"),
    [
        (
            [Reads],
            [],
            r"callbacks: Reads is no lightning\.pytorch\.Callback: hand over an object, Reads\(\.\.\.\)",
        ),
        ([print], [], "callbacks: builtin_function_or_method is no lightning"),
        ([], [3], "loggers: int is no logger of lightning.*tensorboard, wandb, mlflow"),
        ([], ["tensorbord"], "logger 'tensorbord': choose one of tensorboard, wandb, mlflow"),
    ],
)
def test_what_is_no_listener_is_refused(callbacks: Any, loggers: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        listeners_of(callbacks, loggers, tmp_path, "run")


def test_callbacks_of_the_other_package_of_the_same_kind_are_told_apart(tmp_path: Path) -> None:
    other = pytest.importorskip("pytorch_lightning")
    with pytest.raises(UsageError, match=r"import it from lightning\.pytorch"):
        listeners_of([other.callbacks.Timer()], [], tmp_path, "run")


def test_several_devices_have_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give devices=1"):
        train_block("ResNetBasicBlock", dataset="digits", devices=2, callbacks=[Reads()], output=tmp_path)


def test_a_training_that_was_heard_of_is_not_begun_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any, **__: Any) -> Record:
        raise OutOfMemory("too large")

    monkeypatch.setattr("blockzoo.training.launch.run_on_devices", full)
    monkeypatch.setattr("blockzoo.training.steps.fitting_batch_size", lambda *_: pytest.fail("it was tried"))
    where = dataclasses.replace(circumstances("cpu", None), listeners=Listeners((Reads(),)))
    with pytest.raises(OutOfMemory, match="too large"):
        train_spec(SPEC, load_dataset("digits"), where, tmp_path / "x.ckpt", "halve", lambda *_: None)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_logger_by_its_name_writes_here_and_sends_nothing(name: str, tmp_path: Path) -> None:
    if find_spec(BY_NAME[name]) is None:
        pytest.skip(f"{BY_NAME[name]} is not installed: pip install 'blockzoo[{name}]'")
    logger = logger_of(name, tmp_path, "run")
    assert isinstance(logger, Logger)
    logger.log_metrics({"val_acc": 0.5}, step=1)
    logger.save()
    logger.finalize("success")
    files = [path for path in (tmp_path / "logs" / name).rglob("*") if path.is_file()]
    assert files and all(path.stat().st_size for path in files[:1])


LOGS = """
import sys
from pathlib import Path
from blockzoo.training.listeners import logger_of

logger = logger_of(sys.argv[1], Path(sys.argv[2]), "run")
logger.log_hyperparams({"lr": 0.1})
logger.log_metrics({"val_acc": 0.5}, step=1)
logger.finalize("success")
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which sees what connects, is not installed"
)
@pytest.mark.parametrize("name", BY_NAME)
def test_a_logger_by_its_name_connects_to_nothing(name: str, tmp_path: Path) -> None:
    """MLflow counts its uses for its makers, and W&B has processes of its own; without `SILENT` MLflow asks for an address."""
    if find_spec(BY_NAME[name]) is None:
        pytest.skip(f"{BY_NAME[name]} is not installed: pip install 'blockzoo[{name}]'")
    traced = ["strace", "-f", "-e", "trace=connect,execve", "-o", str(tmp_path / "calls")]
    environment = {key: value for key, value in os.environ.items() if key not in SILENT}
    command = [*traced, sys.executable, "-c", LOGS, name, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    calls = (tmp_path / "calls").read_text()
    assert "execve(" in calls and "AF_INET" not in calls


def test_logs_of_mlflow_lie_in_no_folder_that_cuts_their_address(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(UsageError, match=r"without a \? in its name"):
        logger_of("mlflow", tmp_path / "what?", "run")


@pytest.mark.parametrize("name", BY_NAME)
def test_a_logger_that_is_not_installed_names_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, BY_NAME[name], None)
    with pytest.raises(UsageError, match=rf"need {name}, which is not installed: pip install .*\[{name}\]'"):
        logger_of(name, tmp_path, "run")
    assert f"\n{name} = [" in (Path(__file__).parents[2] / "pyproject.toml").read_text()
