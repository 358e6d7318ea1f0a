"""The frame of a block-wise run: the centre network, its data, what is minimised, and what each block remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from blockzoo.blockwise.copying import buffer_names
from blockzoo.blockwise.data import Examples, Stream
from blockzoo.blockwise.local import OPTIMIZERS, Criterion, Proximal
from blockzoo.blockwise.options import Options
from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.core.errors import RequestError

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


@dataclass
class RoundRecord:
    """One communication round, block by block where there are lists.

    `movement` is how far each worker's block went from where it started, `staleness` the age of what it started from, both
    before communication; blocks that rested have None.
    """

    number: int
    train_loss: float
    movement: list[float | None]
    staleness: list[int | None]
    gradient_norm: list[float | None]
    gradient_evaluations: float
    bytes_communicated: int
    seconds: dict[str, float] = field(default_factory=dict)


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
        self.blocks = self._states()
        self.whole = self._whole()
        self.round = 0

    def _states(self) -> list[BlockState]:
        count = len(self.partition)
        each = {name: self.options.per_block(name, count) for name in ("k", "step_size", "prox_lambda")}
        states = []
        for i, (label, parameters) in enumerate(
            zip(self.partition.labels, self.partition.parameters(self.model), strict=True)
        ):
            states.append(
                BlockState(
                    parameters=parameters,
                    buffers=buffer_names(self.model, self.partition, i),
                    optimizer=OPTIMIZERS[self.options.optimizer](parameters, each["step_size"][i]),
                    stream=Stream(self.train, self.options.batch_size, self.options.seed, i),
                    proximal=Proximal(each["prox_lambda"][i], self.options.delta_factor),
                    steps=each["k"][i],
                    label=label,
                )
            )
        return states

    def _whole(self) -> BlockState:
        if isinstance(self.options.step_size, tuple) and self.options.training_mode == "entire":
            raise RequestError("training mode entire has one step size: give one")
        parameters = list(self.model.parameters())
        step = self.options.step_size
        return BlockState(
            parameters,
            [name for name, _ in self.model.named_buffers()],
            OPTIMIZERS[self.options.optimizer](parameters, step[0] if isinstance(step, tuple) else step),
            Stream(self.train, self.options.batch_size, self.options.seed, ALL_BLOCKS),
            Proximal(),
            max(self.options.per_block("k", len(self.partition))),
            "all",
        )

    @property
    def shares(self) -> list[float]:
        """Of all parameters, the share of each block."""
        sizes = self.partition.sizes(self.model)
        return [size / sum(sizes) for size in sizes]

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
