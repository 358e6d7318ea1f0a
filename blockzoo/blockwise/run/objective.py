"""What a block-wise run minimises: a network, its examples, a mean loss, and the partition into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.blockwise.run.counting import uncounted
from blockzoo.blockwise.run.data import Batch, Examples, kind_of
from blockzoo.blockwise.run.losses import (
    Criterion,
    batch_loss,
    check_mean,
    no_reentrant_checkpoints,
    parts_of_loss,
)
from blockzoo.core.errors import UsageError
from blockzoo.core.said import say_once
from blockzoo.data.subsets import drawn
from blockzoo.models.standing import depends_on

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


class Objective:
    """The centre network and its loss.

    Args:
        model: the centre network; trained in place.
        train, validation: see `Examples.of`; the second is never trained on.
        criterion: (output, target) -> mean loss.
        partition: see `make_partition`.

    Raises:
        UsageError: a partition that leaves parameters out or has them twice, or all parameters frozen.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Examples | Batch | Iterable[Batch],
        validation: Examples | Batch | Iterable[Batch],
        criterion: Criterion,
        partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "blocks",
    ) -> None:
        self.model, self.train, self.validation = model, Examples.of(train), Examples.of(validation)
        self.criterion = criterion
        self.partition = make_partition(model, partition)
        if not any(p.requires_grad for p in model.parameters()):
            raise UsageError(
                "all parameters of this network are frozen (requires_grad False): nothing is trained"
            )
        self._loss_is_a_mean = False

    @property
    def measures(self) -> tuple[str, ...]:
        """What `evaluate` finds."""
        return ("loss",) if self.validation.y.is_floating_point() else ("loss", "accuracy")

    def probe(self, batches: int = 1, batch_size: int = 256) -> list[Batch]:
        """Copies of fixed batches of the training examples, the same in every round: what curvature is measured on.

        A stratified draw, so that in class-ordered data they are not the first class alone.

        Raises:
            UsageError: no batch, or batches of no examples.
        """
        if batches < 1 or batch_size < 1:
            raise UsageError(f"batches {batches} of batch size {batch_size}: give 1 or more of each")
        count = min(batches * batch_size, len(self.train))
        if not count:
            return []
        chosen = torch.from_numpy(drawn(self.train.y.cpu().numpy(), count)).to(self.train.x.device)
        return list(Examples(self.train.x[chosen], self.train.y[chosen]).batches(batch_size))

    def loss(
        self, x: Float[torch.Tensor, "B ..."], y: Shaped[torch.Tensor, "B ..."]
    ) -> Float[torch.Tensor, ""]:
        """The mean loss of the network, as it is, on a batch, which stays as it is.

        Raises:
            UsageError: as `batch_loss`.
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
        """The criterion is a mean over examples; found out once, on two of them, or as many as it takes. What an evaluation
        depends on besides its examples is said.

        Raises:
            UsageError: it is a sum, or one number for each example; or the network and the loss cannot take the examples.
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
                for sentence in depends_on(self.model, x):
                    say_once(f"{type(self.model).__name__} {sentence}")
            except (UsageError, torch.OutOfMemoryError):
                raise
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                first = str(error).strip().partition("\n")[0]
                raise UsageError(
                    f"a network of {kind_of(self._trained)} and its loss cannot take inputs of {kind_of(x)} "
                    f"{tuple(x.shape)} and targets of {kind_of(y)} {tuple(y.shape)}: {first}"
                ) from error
        self._loss_is_a_mean = True

    @property
    def _trained(self) -> nn.Parameter:
        """The first parameter that is trained: where the network lies, and of which kind its numbers are."""
        return next(p for p in self.model.parameters() if p.requires_grad)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Within, the network may be looked at: buffers, modes and generators of chance are put back, nothing is counted."""
        modes = [(module, module.training) for module in self.model.modules()]
        buffers = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]
        place = self._trained.device
        try:
            with torch.random.fork_rng([place] if place.type == "cuda" else []), uncounted():
                yield
        finally:
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)

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
        values = {"loss": sum(float(loss) * size for loss, size in parts) / len(examples)}
        self.model.train(was)
        if classes:
            hits = float((torch.cat(predicted) == examples.y).sum())
            values["accuracy"] = hits / examples.y.numel()
        return values
