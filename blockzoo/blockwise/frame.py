"""The frame of a block-wise run: the centre network, its data, what is minimised, and what each block remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.blockwise.copying import buffer_names
from blockzoo.blockwise.data import Batch, Examples, Stream
from blockzoo.blockwise.local import Criterion, Proximal, make_optimizer
from blockzoo.blockwise.options import Options
from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.core.errors import RequestError

if TYPE_CHECKING:
    from blockzoo.blockwise.config import RunConfig

ALL_BLOCKS = -1
"""The stream and the optimiser of an engine that trains everything at once."""


@dataclass
class BlockState:
    """What one block keeps between rounds: its optimiser's state, and how far its stream of batches is."""

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
    waited for each other.
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

    @property
    def gradient_evaluations(self) -> int:
        """Local steps of all workers: forward and backward passes, whatever the block."""
        return sum(steps for steps in self.steps if steps is not None)

    @property
    def critical_steps(self) -> int:
        """Local steps one after the other, were every worker a machine of its own."""
        taken = [steps for steps in self.steps if steps is not None]
        return sum(taken) if self.sequential else max(taken, default=0)


class Frame:
    """Everything that an engine works on.

    Args:
        model: the centre network; trained in place.
        partition: see `make_partition`.
        train, validation: examples; the second is never trained on.
        criterion: (output, target) -> mean loss.
        options: the run.

    Raises:
        RequestError: a partition that is none, or lists of another length than there are blocks.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Examples,
        validation: Examples,
        criterion: Criterion,
        options: Options,
        partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "blocks",
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.criterion, self.options = criterion, options
        self.partition = make_partition(model, partition)
        self.share = options.share_of_active_workers
        """Of workers that are active in the next round."""
        self.blocks = self._states()
        self.whole = self._whole()
        self.worker_optimizers: list[torch.optim.Optimizer] = []
        """One per worker, where each trains the whole network and the engine has begun; they are the engine's own."""
        self.round = 0
        """Rounds done."""
        self.last: RoundRecord | None = None
        self.previous: list[list[torch.Tensor]] | None = None
        """Block by block, the centre before the last round, where a unit asked for it."""

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
            raise RequestError(f"training mode entire has one {' and one '.join(several)}: give one")
        parameters = list(self.model.parameters())
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
            RequestError, DataError: what cannot be built or found.
        """
        from blockzoo.blockwise.closed_loop import choose
        from blockzoo.blockwise.curvature.coupling import coupling_map
        from blockzoo.blockwise.sources import build_model, load_problem

        problem = load_problem(config)
        model = build_model(config, problem)
        data = problem.train, problem.validation, problem.criterion
        frame = cls(model, *data, config.options, config.partition)
        if not config.tuned:
            return frame
        found = coupling_map(model, frame.criterion, frame.probe(2), frame.partition)
        options = choose(found, share=config.tuned).applied(config.options)
        return cls(model, *data, options, frame.partition)

    def probe(self, batches: int = 1, batch_size: int = 256) -> list[Batch]:
        """Fixed batches of the training examples, the same in every round: what curvature is measured on."""
        found = []
        for batch in self.train.batches(batch_size):
            if len(found) == batches:
                break
            found.append(batch)
        return found

    @torch.no_grad()
    def evaluate(self, examples: Examples | None = None, batch_size: int = 512) -> dict[str, float]:
        """Loss, and accuracy where targets are classes, on the validation examples or others."""
        examples = examples or self.validation
        was = self.model.training
        self.model.eval()
        loss = hits = 0.0
        classes = not examples.y.is_floating_point()
        for x, y in examples.batches(batch_size):
            output = self.model(x)
            loss += float(self.criterion(output, y)) * len(x)
            hits += float((output.argmax(1) == y).sum()) if classes else 0.0
        self.model.train(was)
        found = {"loss": loss / len(examples)}
        return found | {"accuracy": hits / len(examples)} if classes else found

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
            RequestError: of another network or another partition.
        """
        states = [*self.blocks, self.whole]
        if len(saved.get("optimizers", ())) != len(states):
            raise RequestError("this checkpoint is of another partition")
        try:
            self.model.load_state_dict(saved["model"])
        except (RuntimeError, KeyError) as error:
            raise RequestError(
                f"this checkpoint is of another network: {str(error).splitlines()[0]}"
            ) from None
        for state, optimizer, position in zip(states, saved["optimizers"], saved["streams"], strict=True):
            state.optimizer.load_state_dict(optimizer)
            state.stream.position = position
        self.round = saved["round"]
