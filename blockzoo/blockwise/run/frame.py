"""The frame of a block-wise run: its objective, what each block remembers, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.blockwise.copying import buffer_names
from blockzoo.blockwise.local import Proximal, make_optimizer
from blockzoo.blockwise.partition import Partition
from blockzoo.blockwise.run.counting import CountedLoss, Spent, counted
from blockzoo.blockwise.run.data import Batch, Examples, Stream
from blockzoo.blockwise.run.losses import Criterion
from blockzoo.blockwise.run.objective import Objective
from blockzoo.blockwise.run.options import Options
from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from blockzoo.blockwise.run.config import RunConfig

ALL_BLOCKS = -1
"""The stream and the optimiser of an engine that trains everything at once."""


@dataclass
class BlockState:
    """What one block keeps between rounds: its optimiser state, and how far its stream of batches is.

    `parameters` are those that are trained: a block that is frozen as a whole has none, and rests.
    """

    parameters: list[nn.Parameter]
    buffers: list[str]
    optimizer: torch.optim.Optimizer
    stream: Stream
    proximal: Proximal
    steps: int
    label: str

    def __post_init__(self) -> None:
        self.base_steps, self.base_step_size = self.steps, float(self.optimizer.param_groups[0]["lr"])


@dataclass
class RoundRecord:
    """One communication round, block by block where there are lists.

    `movement` is how far each worker's block went from where it started, `staleness` the age of what it started from, both
    before communication; blocks that rested have None. `steps` has one number per worker. `sequential` says that workers
    waited for each other. `spent` are the backward passes that were counted while the engine ran: a run sets it, whatever the
    engine says.
    """

    number: int
    train_loss: float
    movement: list[float | None]
    staleness: list[int | None]
    gradient_norm: list[float | None]
    steps: list[int | None]
    bytes_communicated: int
    seconds: dict[str, float] = field(default_factory=dict)
    sequential: bool = False
    spent: Spent = field(default_factory=Spent)

    @property
    def gradient_evaluations(self) -> int:
        """Forward and backward passes of all workers, whatever the block."""
        return self.spent.evaluations

    @property
    def critical_steps(self) -> int:
        """Forward and backward passes one after the other, were every worker a machine of its own."""
        return self.spent.critical(self.sequential)


class Frame(Objective):
    """An objective in the course of a run: what each block remembers, and how far the run is.

    Args:
        model: the centre network; trained in place.
        partition: see `make_partition`.
        train, validation: see `Examples.of`; the second is never trained on.
        criterion: (output, target) -> mean loss.
        options: the run.

    Parameters that are frozen (`requires_grad` False) stay as they are, in every engine.

    Raises:
        UsageError: a partition with parameters left out or twice, lists of another length than there are blocks, or all
            parameters frozen.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Examples | Batch | Iterable[Batch],
        validation: Examples | Batch | Iterable[Batch],
        criterion: Criterion,
        options: Options,
        partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "blocks",
    ) -> None:
        super().__init__(model, train, validation, CountedLoss(criterion, options.batch_size), partition)
        self.options = options
        self.share = options.share_of_active_workers
        """Of workers that are active in the next round."""
        self.blocks = self._states()
        self.whole = self._whole()
        self.round = 0
        """Rounds done."""
        self.checked: dict[str, float] = {}
        """By the name of a check, the largest deviation it has found so far."""
        self._tally = Spent()

    def _states(self) -> list[BlockState]:
        count = len(self.partition)
        each = {
            name: self.options.per_block(name, count)
            for name in ("k", "step_size", "prox_lambda", "optimizer")
        }
        states = []
        for i, (label, parameters) in enumerate(
            zip(self.partition.labels, self.partition.parameters(self.model), strict=True)
        ):
            parameters = [p for p in parameters if p.requires_grad]
            states.append(
                BlockState(
                    parameters=parameters,
                    buffers=buffer_names(self.model, self.partition, i),
                    optimizer=make_optimizer(each["optimizer"][i], parameters, each["step_size"][i]),
                    stream=Stream(self.train, self.options.batch_size, self.options.seed, i),
                    proximal=Proximal(each["prox_lambda"][i], self.options.delta_factor),
                    steps=each["k"][i],
                    label=label,
                )
            )
        return states

    def _whole(self) -> BlockState:
        several = [n for n in ("step_size", "optimizer") if isinstance(getattr(self.options, n), tuple)]
        if several and self.options.training_mode == "entire":
            raise UsageError(f"training mode entire has one {' and one '.join(several)}: give one")
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        step, name = (self.options.per_block(n, len(self.partition))[0] for n in ("step_size", "optimizer"))
        return BlockState(
            parameters,
            [name for name, _ in self.model.named_buffers()],
            make_optimizer(name, parameters, step),
            Stream(self.train, self.options.batch_size, self.options.seed, ALL_BLOCKS),
            Proximal(),
            max(self.options.per_block("k", len(self.partition))),
            "all",
        )

    @classmethod
    def from_config(cls, config: RunConfig) -> Frame:
        """The frame of a configuration: its network, its examples, and the criterion that suits them.

        Raises:
            UsageError, DataError: what cannot be built or found.
        """
        from blockzoo.blockwise.closed_loop import choose
        from blockzoo.blockwise.curvature.coupling import coupling_map
        from blockzoo.blockwise.run.sources import build_model, load_problem

        problem = load_problem(config)
        model = build_model(config, problem)
        data = problem.train, problem.validation, problem.criterion
        frame = cls(model, *data, config.options, config.partition)
        if not config.tuned:
            return frame
        coupling = coupling_map(model, frame.criterion, frame.probe(2), frame.partition)
        options = choose(coupling, share=config.tuned).applied(config.options)
        return cls(model, *data, options, frame.partition)

    def record_check(self, check: str, deviation: float) -> None:
        """What a check has found, for the record of the run."""
        self.checked[check] = max(deviation, self.checked.get(check, 0.0))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Within, backward passes count as those of the round."""
        self.check_loss()
        with counted(self._tally):
            yield

    def spent(self) -> Spent:
        """The backward passes within `working` since this was last asked for."""
        spent, self._tally = self._tally, Spent()
        return spent

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to be the uninterrupted one."""
        return {
            "model": self.model.state_dict(),
            "round": self.round,
            "optimizers": [state.optimizer.state_dict() for state in [*self.blocks, self.whole]],
            "streams": [state.stream.position for state in [*self.blocks, self.whole]],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            UsageError: of another network or another partition.
        """
        states = [*self.blocks, self.whole]
        if len(saved.get("optimizers", ())) != len(states):
            raise UsageError("this checkpoint is of another partition")
        try:
            self.model.load_state_dict(saved["model"])
        except (RuntimeError, KeyError) as error:
            raise UsageError(f"this checkpoint is of another network: {str(error).splitlines()[0]}") from None
        for state, optimizer, position in zip(states, saved["optimizers"], saved["streams"], strict=True):
            state.optimizer.load_state_dict(optimizer)
            state.stream.position = position
        self.round = saved["round"]
