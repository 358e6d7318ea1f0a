"""How a block-wise run is carried out, beside what it is: none of it changes its numbers. Each setting is one field."""

from __future__ import annotations

from dataclasses import dataclass

from blockzoo.core.checked import setting
from blockzoo.core.errors import UsageError
from blockzoo.execution.ranks import PATIENCE


@dataclass(frozen=True)
class Handling:
    """What becomes of an earlier run of the same configuration, and what is written."""

    resume: bool = setting(False, "go on from the checkpoint of a run that was killed or interrupted")
    adopt: bool = setting(
        False, "where there is none, go on from a run that differs only in when it ends (`adopt_earlier`)"
    )
    restart: bool = setting(False, "forget an earlier run of the same request, once this one has begun well")
    tensorboard: bool = setting(False, "also write event files for TensorBoard")
    store: bool = setting(True, "also write the run as a record to the results store")


@dataclass(frozen=True)
class Processes:
    """The processes of a distributed run."""

    ranks: int | None = setting(
        None,
        "distributed: processes to start, if torchrun has not (default: one per block, up to the cores or GPUs)",
    )
    patience: float = setting(
        PATIENCE,
        "distributed: how long a process may keep the others waiting, with its measurements, before the run ends",
        unit="s",
        names=("--rank-timeout",),
    )
    plugins: tuple[str, ...] = setting((), "files and modules with the user's own code, for them to load too")

    def __post_init__(self) -> None:
        if not 0 < self.patience < float("inf"):
            raise UsageError(f"--rank-timeout {self.patience:g}: give a positive number of seconds")
