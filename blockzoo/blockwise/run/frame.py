"""The frame of a block-wise run: the centre network, its data, what is minimised, and what each block remembers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.blockwise.copying import buffer_names
from blockzoo.blockwise.local import Proximal, make_optimizer
from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.blockwise.run.counting import Spent, counted, uncounted
from blockzoo.blockwise.run.data import Batch, Examples, Stream, kind_of
from blockzoo.blockwise.run.losses import (
    Criterion,
    batch_loss,
    check_mean,
    no_reentrant_checkpoints,
    parts_of_loss,
)
from blockzoo.blockwise.run.options import Options
from blockzoo.core.errors import RequestError
from blockzoo.data.subsets import drawn

if TYPE_CHECKING:
    from blockzoo.blockwise.run.config import RunConfig

ALL_BLOCKS = -1
"""The stream and the optimiser of an engine that trains everything at once."""


@dataclass
class BlockState:
    """What one block keeps between rounds: its optimiser's state, and how far its stream of batches is.

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


class Frame:
    """Everything that an engine works on.

    Args:
        model: the centre network; trained in place.
        partition: see `make_partition`.
        train, validation: see `Examples.of`; the second is never trained on.
        criterion: (output, target) -> mean loss.
        options: the run.

    Parameters that are frozen (`requires_grad` False) stay as they are, in every engine.

    Raises:
        RequestError: a partition that is none, lists of another length than there are blocks, or all parameters frozen.
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
        self.model, self.train, self.validation = model, Examples.of(train), Examples.of(validation)
        self.criterion, self.options = criterion, options
        self.partition = make_partition(model, partition)
        self.share = options.share_of_active_workers
        """Of workers that are active in the next round."""
        if not any(p.requires_grad for p in model.parameters()):
            raise RequestError(
                "all parameters of this network are frozen (requires_grad False): nothing is trained"
            )
        self.blocks = self._states()
        self.whole = self._whole()
        self.worker_optimizers: list[torch.optim.Optimizer] = []
        """One per worker, where each trains the whole network and the engine has begun; they are the engine's own."""
        self.round = 0
        """Rounds done."""
        self.last: RoundRecord | None = None
        self.previous: list[list[torch.Tensor]] | None = None
        """Block by block, the centre before the last round, where a unit asked for it."""
        self.checked: dict[str, float] = {}
        """By the name of a check, the largest deviation it has found so far."""
        self._tally = Spent()
        self._loss_is_a_mean = False

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
            raise RequestError(f"training mode entire has one {' and one '.join(several)}: give one")
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
            RequestError, DataError: what cannot be built or found.
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
        found = coupling_map(model, frame.criterion, frame.probe(2), frame.partition)
        options = choose(found, share=config.tuned).applied(config.options)
        return cls(model, *data, options, frame.partition)

    @property
    def measures(self) -> tuple[str, ...]:
        """What `evaluate` finds."""
        return ("loss",) if self.validation.y.is_floating_point() else ("loss", "accuracy")

    def probe(self, batches: int = 1, batch_size: int = 256) -> list[Batch]:
        """Copies of fixed batches of the training examples, the same in every round: what curvature is measured on.

        A stratified draw, so that in class-ordered data they are not the first class alone.

        Raises:
            RequestError: no batch, or batches of no examples.
        """
        if batches < 1 or batch_size < 1:
            raise RequestError(f"batches {batches} of batch size {batch_size}: give 1 or more of each")
        count = min(batches * batch_size, len(self.train))
        if not count:
            return []
        chosen = torch.from_numpy(drawn(self.train.y.cpu().numpy(), count)).to(self.train.x.device)
        return list(Examples(self.train.x[chosen], self.train.y[chosen]).batches(batch_size))

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean loss of the network, as it is, on a batch, which stays as it is.

        Raises:
            RequestError: as `batch_loss`.
        """
        return batch_loss(self.model, self.criterion, x, y)

    @torch.no_grad()
    def loss_over(self, batches: Iterable[Batch]) -> float:
        """The loss of the examples of some batches, as one batch of all of them has it, in evaluation mode."""
        was = self.model.training
        self.model.eval()
        parts = [(float(loss), size) for loss, size in parts_of_loss(self.model, self.criterion, batches)]
        self.model.train(was)
        return sum(value * size for value, size in parts) / sum(size for _, size in parts)

    def check_loss(self) -> None:
        """The criterion is a mean over examples; found out once, on two of them, or as many as it takes.

        Raises:
            RequestError: it is a sum, or one number for each example; or the network and the loss cannot take the examples.
        """
        if self._loss_is_a_mean:
            return
        with self.undisturbed(), no_reentrant_checkpoints():
            self.model.eval()
            x, y = self.train.x[:2], self.train.y[:2]
            try:
                for count in (2, 32, 512):
                    ((x, y),) = self.probe(1, count)
                    if check_mean(self.model, self.criterion, x, y):
                        break
            except (RequestError, torch.OutOfMemoryError):
                raise
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                first = str(error).strip().partition("\n")[0]
                raise RequestError(
                    f"a network of {kind_of(self.whole.parameters[0])} and its loss cannot take inputs of {kind_of(x)} "
                    f"{tuple(x.shape)} and targets of {kind_of(y)} {tuple(y.shape)}: {first}"
                ) from error
        self._loss_is_a_mean = True

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Within, the network may be looked at: buffers, modes and generators of chance are put back, nothing is counted."""
        modes = [(module, module.training) for module in self.model.modules()]
        kept = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]
        place = self.whole.parameters[0].device
        try:
            with torch.random.fork_rng([place] if place.type == "cuda" else []), uncounted():
                yield
        finally:
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)

    def found(self, check: str, deviation: float) -> None:
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
        found, self._tally = self._tally, Spent()
        return found

    @torch.no_grad()
    def evaluate(self, examples: Examples | None = None, batch_size: int = 512) -> dict[str, float]:
        """Loss, and accuracy where targets are classes, of the validation examples or others: as one batch of all has them."""
        examples = examples or self.validation
        self.check_loss()
        was = self.model.training
        self.model.eval()
        predicted: list[torch.Tensor] = []

        def forward(x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.model(x)
            if classes:
                predicted.append(output.argmax(1))
            return output

        classes = not examples.y.is_floating_point()
        parts = parts_of_loss(forward, self.criterion, examples.batches(batch_size))
        found = {"loss": sum(float(loss) * size for loss, size in parts) / len(examples)}
        self.model.train(was)
        if classes:
            hits = float((torch.cat(predicted) == examples.y).sum())
            found["accuracy"] = hits / examples.y.numel()
        return found

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
