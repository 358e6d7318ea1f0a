"""The doors of the block-wise lens: engines, measurement units, curricula and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from blockzoo.core.registry import Registry, TextRegistry

if TYPE_CHECKING:
    from torch import Tensor

    from blockzoo.blockwise.run.frame import Frame, RoundRecord
    from blockzoo.blockwise.run.ranks import Ranks


class Engine(Protocol):
    """How a block-wise run makes a communication round; made without arguments, may keep state between rounds."""

    def run(self, frame: Frame) -> RoundRecord:
        """One round on the frame's centre network."""
        ...


@runtime_checkable
class EngineOnRanks(Engine, Protocol):
    """An engine whose blocks lie on several processes."""

    def gathered(self, state: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
        """The state of a frame, with each block's part from the process that trains it."""
        ...


class MeasurementUnit(Protocol):
    """A quantity of a block-wise run; made with the options of its line, `name option=value`."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """Values by name, the unit at the end of the name; numbers, lists of one per block, or arrays."""
        ...


class Curriculum(Protocol):
    """Which training examples a round draws from, and how often; made from the text behind its name."""

    def weights(self, round: int, frame: Frame) -> Tensor | None:
        """(N,) tensor of weights of 0 or more, one per example; None for all alike."""
        ...


class Schedule(Protocol):
    """A factor over the rounds of a run, for step sizes, K or the share of workers; made from the text behind its name."""

    def factor(self, round: int, rounds: int) -> float:
        """The factor in round 0, 1, ... of `rounds`."""
        ...


ENGINES: Registry[Callable[[], Engine]] = Registry("ENGINES", "update engine", methods=("run",))
UNITS: Registry[Callable[..., MeasurementUnit]] = Registry("UNITS", "measurement unit", methods=("measure",))
CURRICULA: TextRegistry[Curriculum] = TextRegistry("CURRICULA", "curriculum", methods=("weights",))
SCHEDULES: TextRegistry[Schedule] = TextRegistry("SCHEDULES", "schedule", methods=("factor",))
