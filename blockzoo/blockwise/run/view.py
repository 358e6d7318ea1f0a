"""What a measurement unit and a curriculum see of a run: all there is to look at between two rounds, and nothing to turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from blockzoo.blockwise.partition import Partition
from blockzoo.blockwise.run.data import Batch, Examples
from blockzoo.blockwise.run.frame import BlockState, Frame, RoundRecord
from blockzoo.blockwise.run.losses import Criterion


@dataclass(frozen=True)
class BlockView:
    """What is trained together: its parameters but for those that are frozen, and its optimiser with its state."""

    label: str
    parameters: tuple[nn.Parameter, ...]
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, state: BlockState) -> BlockView:
        """The view of a block's state."""
        return cls(state.label, tuple(state.parameters), state.optimizer)


@dataclass(frozen=True, eq=False)
class RunView:
    """A run between two rounds, to be looked at.

    Network and tensors are the run's own, so whoever changes them puts them back, as `holding` does.

    Args:
        frame: of the run.
        last: the last round; None before the first.
        previous: block by block, the trained parameters before the last round, where a unit asked for them (`needs_previous`).
        trained: what each machine of the run trains; None: its block.
    """

    _frame: Frame
    last: RoundRecord | None = None
    previous: Sequence[Sequence[torch.Tensor]] | None = None
    trained: Sequence[BlockState] | None = None

    @property
    def model(self) -> nn.Module:
        """The centre network."""
        return self._frame.model

    @property
    def criterion(self) -> Criterion:
        """(output, target) -> mean loss."""
        return self._frame.criterion

    @property
    def partition(self) -> Partition:
        """The network's parameters, frozen ones too, by blocks."""
        return self._frame.partition

    @property
    def train(self) -> Examples:
        """The examples that are trained on."""
        return self._frame.train

    @property
    def round(self) -> int:
        """Rounds done."""
        return self._frame.round

    @property
    def rounds(self) -> int:
        """Rounds of the whole run."""
        return self._frame.options.rounds

    @property
    def blocks(self) -> tuple[BlockView, ...]:
        """The network's blocks, in order."""
        return tuple(BlockView.of(state) for state in self._frame.blocks)

    @property
    def clients(self) -> tuple[BlockView, ...]:
        """What each machine trains: its block, or the whole network."""
        return tuple(BlockView.of(state) for state in self.trained or self._frame.blocks)

    def probe(self, batches: int = 1, batch_size: int = 256) -> list[Batch]:
        """See `Objective.probe`: fixed batches of the training examples."""
        return self._frame.probe(batches, batch_size)

    def loss_over(self, batches: Sequence[Batch]) -> float:
        """See `Objective.loss_over`: the mean loss on batches, in evaluation mode."""
        return self._frame.loss_over(batches)

    def record_check(self, check: str, deviation: float) -> None:
        """The largest deviation that a check has found, for the record of the run."""
        self._frame.record_check(check, deviation)

    def values(self) -> list[list[torch.Tensor]]:
        """Block by block, copies of the trained parameters."""
        return [[p.detach().clone() for p in state.parameters] for state in self._frame.blocks]

    @contextmanager
    def holding(self, values: Sequence[Sequence[torch.Tensor]]) -> Iterator[None]:
        """Within, the trained parameters have these values, block by block; afterwards their own again."""
        own = self.values()
        self._put(values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: Sequence[Sequence[torch.Tensor]]) -> None:
        for state, block in zip(self._frame.blocks, values, strict=True):
            for parameter, value in zip(state.parameters, block, strict=True):
                parameter.copy_(value)
