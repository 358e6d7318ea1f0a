"""Callbacks and loggers of Lightning that are handed to a training.

A logger hears values and changes no number of a training; it takes time, so it is named in the environment. A callback can do
anything to a training, so which there were is part of the request: the trial has another fingerprint, and is compared only
with trials that had the same.
"""

from __future__ import annotations

import copy
import inspect
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from blockzoo.core.errors import UsageError
from blockzoo.core.extras import needed
from blockzoo.core.spec import fingerprint_of

log = logging.getLogger(__name__)
BY_NAME = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Loggers that are made from their names, and the package of each: it is an extra of that name."""
SILENT = {"WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Variables without which loggers that write here tell their makers of it, unless somebody has set them."""
PROJECT = "blockzoo"
"""Under which W&B and MLflow keep the runs."""


@dataclass(frozen=True)
class Listeners:
    """What hears of a training beside this package.

    Args:
        callbacks: of Lightning.
        loggers: of Lightning.
    """

    callbacks: tuple[L.Callback, ...] = ()
    loggers: tuple[Logger, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.callbacks or self.loggers)

    @property
    def facts(self) -> dict[str, str]:
        """What there is to say of them among the circumstances."""
        names = sorted(type(logger).__name__ for logger in self.loggers)
        return {"loggers": ", ".join(names)} if names else {}

    @property
    def options(self) -> dict[str, Any]:
        """Of Lightning's trainer."""
        return {
            "logger": list(self.loggers) or False,
            "enable_checkpointing": any(isinstance(one, Checkpoint) for one in self.callbacks),
            "enable_progress_bar": any(isinstance(one, ProgressBar) for one in self.callbacks),
        }

    def told(self, request: dict[str, Any]) -> None:
        """The loggers hear what is trained, and how.

        One that has heard of another training may refuse it (MLflow does): that is said, and ends no training.
        """
        for logger in self.loggers:
            try:
                logger.log_hyperparams(copy.deepcopy(request))
            except Exception as error:
                why = str(error).strip().partition("\n")[0][:200]
                log.warning(
                    "%s does not take what is trained, and hears its values alone (%s); give each training a logger of its own",
                    type(logger).__name__,
                    why,
                )

    def identity(self) -> str | None:
        """The callbacks in words, the same for the same: class, and a digest of its code and of what it was given."""
        return ", ".join(map(identity_of, self.callbacks)) or None


def identity_of(callback: L.Callback) -> str:
    """The class of a callback, with a digest of its code, where that is not Lightning's, and of its plain attributes.

    Tensors, files and other objects among its attributes count by their class alone.
    """
    kind = type(callback)
    name = f"{kind.__module__}.{kind.__qualname__}"
    own = "" if name.startswith("lightning.") else _source(kind)
    return f"{name} {fingerprint_of([own, _described(vars(callback))])[:8]}"


def _source(code: Any) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""


def _described(value: object) -> str:
    """A value as a text that is the same in each process."""
    if value is None or isinstance(value, bool | int | float | str | Path):
        return repr(value)
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{key!r}: {_described(own)}' for key, own in sorted(value.items(), key=str))}}}"
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_described, value))}]"
    if inspect.isroutine(value):
        code = getattr(value, "__code__", None)  # of two on one line
        own = (*code.co_names, *map(_described, code.co_consts)) if code else ()
        return f"{getattr(value, '__qualname__', '')} {_source(value)} {own}"
    return type(value).__qualname__


def listeners_of(
    callbacks: Sequence[L.Callback], loggers: Sequence[Logger | str], folder: Path, run: str
) -> Listeners:
    """Callbacks and loggers, those that are named made.

    Args:
        callbacks: of Lightning.
        loggers: of Lightning; or "tensorboard", "wandb", "mlflow", which write below `folder`, nothing to a network.
        folder: of the results.
        run: how the run is called.

    Raises:
        UsageError: something else; an unknown name; or a package that is not installed.
    """
    for one in callbacks:
        if not isinstance(one, L.Callback):
            raise UsageError(
                f"callbacks: {_called(one)} is no lightning.pytorch.Callback{_other_package(one)}"
            )
    instances = [logger_of(one, folder, run) if isinstance(one, str) else one for one in loggers]
    for logger in instances:
        if not isinstance(logger, Logger):
            raise UsageError(
                f"loggers: {_called(logger)} is no logger of lightning.pytorch.loggers, nor one of {', '.join(BY_NAME)}"
                f"{_other_package(logger)}"
            )
    return Listeners(tuple(callbacks), tuple(instances))


def _called(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _other_package(value: object) -> str:
    if isinstance(value, type):
        return f": hand over an object, {value.__name__}(...)"
    theirs = any(kind.__module__.startswith("pytorch_lightning") for kind in type(value).__mro__)
    return ": it is of pytorch_lightning; import it from lightning.pytorch" if theirs else ""


def logger_of(name: str, folder: Path, run: str) -> Logger:
    """A logger by its name, which writes below `folder/logs` and sends nothing.

    Args:
        name: tensorboard, wandb or mlflow.
        folder: of the results.
        run: how the run is called.

    Raises:
        UsageError: an unknown name, or a package that is not installed.
    """
    from lightning.pytorch import loggers

    if name not in BY_NAME:
        raise UsageError(
            f"logger {name!r}: choose one of {', '.join(BY_NAME)}, or hand over one of lightning.pytorch"
        )
    for variable, value in SILENT.items():
        os.environ.setdefault(variable, value)
    needed(BY_NAME[name], name, f"logs of {name}")
    place = folder.resolve() / "logs" / name
    place.mkdir(parents=True, exist_ok=True)
    if name == "tensorboard":
        return loggers.TensorBoardLogger(str(place), name="", version=run)
    if name == "wandb":
        return loggers.WandbLogger(name=run, save_dir=str(place), project=PROJECT, offline=True)
    if "?" in str(place):  # of the address of a database the rest is options
        raise UsageError(f"logs of mlflow cannot lie in {place}: give a folder without a ? in its name")
    return loggers.MLFlowLogger(
        PROJECT,
        run_name=run,
        tracking_uri=f"sqlite:///{place / 'mlflow.db'}",
        artifact_location=(place / "artifacts").as_uri(),
    )
