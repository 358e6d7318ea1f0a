"""The doors of the block-wise lens: engines, measurement units, curricula and schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from blockzoo.core.registry import Registry, TextRegistry

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped
    from torch import Tensor, nn

    from blockzoo.blockwise.partition import Partition
    from blockzoo.blockwise.run.counting import Spent
    from blockzoo.blockwise.run.data import Batch
    from blockzoo.blockwise.run.frame import BlockState, RoundRecord
    from blockzoo.blockwise.run.losses import Criterion
    from blockzoo.blockwise.run.options import Options
    from blockzoo.blockwise.run.ranks import Ranks
    from blockzoo.blockwise.run.view import RunView


class Centre(Protocol):
    """What an engine may touch: the centre network, and what its blocks keep between rounds."""

    @property
    def model(self) -> nn.Module:
        """The centre network, which a round trains in place."""
        ...

    @property
    def criterion(self) -> Criterion:
        """(output, target) -> mean loss."""
        ...

    @property
    def partition(self) -> Partition:
        """The network's parameters by blocks."""
        ...

    @property
    def options(self) -> Options:
        """The options of the run."""
        ...

    @property
    def blocks(self) -> Sequence[BlockState]:
        """Of each block what is trained of it, its optimiser, its stream of batches, and its steps in this round."""
        ...

    @property
    def whole(self) -> BlockState:
        """The same of the network as one block."""
        ...

    @property
    def round(self) -> int:
        """Rounds done."""
        ...

    @property
    def share(self) -> float:
        """Of the workers, those that are active in this round."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Within, backward passes count as those of the round."""
        ...

    def spent(self) -> Spent:
        """The backward passes within `working` since this was last asked for."""
        ...

    def undisturbed(self) -> AbstractContextManager[None]:
        """Within, the network may be looked at: buffers, modes and generators of chance are put back, nothing is counted."""
        ...

    def probe(self, batches: int = 1, batch_size: int = 256) -> list[Batch]:
        """Fixed batches of the training examples."""
        ...

    def loss(self, x: Float[Tensor, "B ..."], y: Shaped[Tensor, "B ..."]) -> Float[Tensor, ""]:
        """The mean loss of the network on a batch."""
        ...

    def loss_over(self, batches: Iterable[Batch]) -> float:
        """The mean loss on batches, in evaluation mode."""
        ...

    def record_check(self, check: str, deviation: float) -> None:
        """The largest deviation that a check has found, for the record of the run."""
        ...


class Engine(Protocol):
    """How a block-wise run makes a communication round; made without arguments.

    What it keeps between rounds makes it `Resumable`. One of your own may say `depends_on_rounds = False`: its rounds do not
    depend on how many there will be, so a run may be gone on with to more of them.
    """

    def run(self, frame: Centre) -> RoundRecord:
        """One round on the centre network."""
        ...


@runtime_checkable
class EngineOnRanks(Engine, Protocol):
    """An engine whose blocks lie on several processes."""

    def gathered(self, state: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
        """The state of a frame, with each block's part from the process that trains it."""
        ...


@runtime_checkable
class EngineOfClients(Engine, Protocol):
    """An engine whose machines train something else than one block each."""

    def clients(self, frame: Centre) -> Sequence[BlockState]:
        """What each machine trains, and with which optimiser."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """An engine or a curriculum that keeps something between rounds: a run that was killed goes on with it."""

    def state_dict(self) -> Any:
        """What it keeps: tensors, numbers and texts, in lists and mappings; None for nothing."""
        ...

    def load_state_dict(self, saved: Any) -> None:
        """Go on with what `state_dict` gave."""
        ...


class MeasurementUnit(Protocol):
    """A quantity of a block-wise run; made with the options of its line, `name option=value`.

    One that says `needs_previous = True` finds the parameters before the last round in `run.previous`.
    """

    def measure(self, run: RunView) -> dict[str, Any]:
        """Values by name, the unit at the end of the name; numbers, lists of one per block, or arrays."""
        ...


class Curriculum(Protocol):
    """Which training examples a round draws from, and how often; made from the text behind its name.

    What it keeps between rounds makes it `Resumable`; `depends_on_rounds` as with an engine.
    """

    def weights(self, round: int, run: RunView) -> Float[Tensor, " N"] | None:
        """(N,) tensor of weights of 0 or more, one per example; None for all alike."""
        ...


class Schedule(Protocol):
    """A factor over the rounds of a run, for learning rates, K or the share of workers; made from the text behind its name."""

    def factor(self, round: int, rounds: int) -> float:
        """The factor in round 0, 1, ... of `rounds`."""
        ...


ENGINES: Registry[Callable[[], Engine]] = Registry("ENGINES", "update engine", methods=("run",))
UNITS: Registry[Callable[..., MeasurementUnit]] = Registry("UNITS", "measurement unit", methods=("measure",))
CURRICULA: TextRegistry[Curriculum] = TextRegistry("CURRICULA", "curriculum", methods=("weights",))
SCHEDULES: TextRegistry[Schedule] = TextRegistry("SCHEDULES", "schedule", methods=("factor",))
