"""The loss as one fixed function of the parameters: a copy of the network in evaluation mode, on fixed batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from blockzoo.blockwise.curvature.widening import copied
from blockzoo.blockwise.run.data import Batch, Examples, as_batches, kind_of
from blockzoo.blockwise.run.losses import joined, loss_of, no_broadcasts, no_reentrant_checkpoints
from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float


LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batches = Examples | Batch | Iterable[Batch]
HALF = (torch.float16, torch.bfloat16)
ALONE = 1e-2
"""Of the size of the outputs: by how much they may change where an example stands in another batch."""


class FrozenLoss:
    """The loss of all examples as one batch, whatever the batches they come in: a mean, a sum, or any other function of them.

    Frozen parameters (`requires_grad` False) stay constants. Numbers of 16 bits are computed with 32, gradients of embeddings
    are dense, and the network gets copies of its inputs, for it may write to them: none of this changes the function.

    Args:
        model: the network; it is left as it is.
        loss_fn: (output, target) -> one number.
        batches: (x, y), several, or whatever hands them out. Inputs of different shapes go through the network apart.

    Raises:
        UsageError: no example, batches that make no single one, a network that cannot be copied or run on these, or a loss that
            is not finite, differs from call to call, or is not one number.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFunction, batches: Batches) -> None:
        self._loss_fn = loss_fn
        self.model = _prepared(model)
        like = next(p for p in self.model.parameters() if p.requires_grad)
        pairs = [_like(batch, like) for batch in as_batches(batches)]
        if not pairs:
            raise UsageError("no batch: the loss needs at least one (x, y)")
        if odd := [number for number, batch in enumerate(pairs) if not all(t.ndim for t in batch)]:
            raise UsageError(f"batch {odd[0]} has a single number where examples are needed")
        counts = [len(x) for x, _ in pairs]
        if 0 in counts:
            raise UsageError(f"batch {counts.index(0)} has no examples: leave it out")
        self.inputs, self.targets = _as_one(pairs)
        self._check(counts)

    def __len__(self) -> int:
        """Examples."""
        return sum(len(x) for x in self.inputs)

    @property
    def value(self) -> float:
        """The loss."""
        with torch.no_grad():
            return float(self.loss())

    def loss(self) -> Float[torch.Tensor, ""]:
        """The loss, with its graph."""
        return self.of_outputs(self.outputs())

    def outputs(self) -> Any:
        """The network's outputs for all examples."""
        with plain_kernels():
            return joined([self.model(x.clone()) for x in self.inputs])

    def of_outputs(self, outputs: Any) -> Float[torch.Tensor, ""]:
        """The loss of these outputs."""
        with plain_kernels():
            return loss_of(self._loss_fn, outputs, self.targets)

    def elsewhere(self, count: int, wide: bool, seed: int = 0) -> FrozenLoss:
        """The same loss of `count` examples, at parameters near by, where no activation lies on a kink by design.

        Args:
            count: at most so many, from first to last; as many as there are or more: all.
            wide: in float64, with what a loss that is a module holds.
            seed: of where the parameters are.
        """
        other = self.in_type(torch.float64 if wide else None, count)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in other.model.parameters():
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.device)
                p.add_((noise * 0.1 * (p.square().mean().sqrt() + 0.01)).to(p.dtype))
        return other

    def in_type(self, dtype: torch.dtype | None, count: int) -> FrozenLoss:
        """The same loss of `count` examples, in another type of numbers: a copy.

        Args:
            dtype: float32 or float64, also for what a loss that is a module holds; None for the type that there is.
            count: at most so many, from first to last; as many as there are or more: all.
        """
        other = copy.copy(self)
        other.model = copied(self.model)
        if count < len(self):
            x = self.inputs[0]
            rows = torch.linspace(0, len(x) - 1, min(count, len(x))).long().to(x.device)
            other.inputs, other.targets = [x[rows]], self.targets[rows.to(self.targets.device)]
        if dtype is not None:
            other.model, other._loss_fn = _as_type(other.model, dtype), self._loss_fn
            if isinstance(self._loss_fn, nn.Module):
                other._loss_fn = _as_type(copied(self._loss_fn), dtype)
            other.inputs = [x.to(dtype) if x.is_floating_point() else x for x in other.inputs]
            if other.targets.is_floating_point():
                other.targets = other.targets.to(dtype)
        return other

    def _check(self, counts: Sequence[int]) -> None:
        """Can it be differentiated?

        Args:
            counts: examples of each batch.
        """
        with in_words("the network cannot be run on these batches"), no_broadcasts():
            first, second = self.value, self.value
        if first != first or first in (float("inf"), -float("inf")):
            raise UsageError(f"the loss is {first:g}: curvature needs a finite one")
        if first != second:
            raise UsageError(
                f"the loss differs from call to call ({first!r}, {second!r}): switch off what is random in evaluation mode"
            )
        if len(counts) > 1:
            self._check_examples_stand_alone(counts[0])

    def _check_examples_stand_alone(self, count: int) -> None:
        """Of `count` examples that go through the network without the others, the outputs are the same."""
        for x in self.inputs:
            fewer = max(1, min(count, len(x) - 1))
            with torch.no_grad(), plain_kernels(), in_words("the network cannot be run on these batches"):
                both = [list(_tensors(self.model(part.clone()))) for part in (x, x[:fewer])]
            if not all(_near(whole[: len(alone)], alone) for whole, alone in zip(*both, strict=True)):
                raise UsageError(
                    "in this network the output for an example depends on the others of its batch, so that several batches do "
                    "not make one: give one batch, of all examples in one shape (--batches 1)"
                )


def _tensors(outputs: Any) -> Iterator[torch.Tensor]:
    """All tensors of a network's outputs."""
    if isinstance(outputs, torch.Tensor):
        yield outputs
        return
    for part in outputs.values() if isinstance(outputs, Mapping) else outputs:
        yield from _tensors(part)


def _near(whole: torch.Tensor, alone: torch.Tensor) -> bool:
    return bool((whole - alone).abs().max() <= ALONE * alone.abs().max() + 1e-30)


def _as_one(batches: Sequence[Batch]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Inputs, as few tensors as their shapes and types allow, and the targets of all."""
    for number, (x, y) in enumerate(batches):
        if len(x) != len(y):
            raise UsageError(
                f"batch {number} has {len(x)} inputs and {len(y)} targets: as many of each are needed"
            )
    kinds = dict.fromkeys(f"{kind_of(y)} {tuple(y.shape[1:])}" for _, y in batches)
    if len(kinds) > 1:
        raise UsageError(f"the targets of the batches differ: {' and '.join(list(kinds)[:2])}")
    groups: dict[object, list[Batch]] = {}
    for x, y in batches:
        groups.setdefault((x.dtype, x.shape[1:]), []).append((x, y))
    inputs = [torch.cat([x for x, _ in group]) for group in groups.values()]
    return inputs, torch.cat([y for group in groups.values() for _, y in group])


def _as_type(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    return module.double() if dtype == torch.float64 else module.float()


def _prepared(model: nn.Module) -> nn.Module:
    """A copy whose loss has second derivatives."""
    try:
        own = copied(model).eval()
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"this network cannot be copied: {error}") from error
    trainable = [p for p in own.parameters() if p.requires_grad]
    if not trainable:
        raise UsageError(
            "this network has no parameters that are not frozen: there is nothing to differentiate by"
        )
    if any(p.dtype in HALF for p in own.parameters()):
        own.float()
    if odd := next((p.dtype for p in trainable if p.dtype not in (torch.float32, torch.float64)), None):
        raise UsageError(f"parameters of type {odd}: curvature is computed with float32 or float64")
    dense_gradients(own)
    return own


def dense_gradients(model: nn.Module) -> None:
    """Of embeddings, which may have sparse ones: these have no second derivative."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False


def _like(batch: Batch, like: torch.Tensor) -> Batch:
    """The batch where the parameters are, without a graph; numbers of fewer bits than they have become as wide."""
    wide = (*HALF, torch.float32) if like.dtype == torch.float64 else HALF
    x, y = (t.detach().to(like.device, like.dtype if t.dtype in wide else t.dtype) for t in batch)
    return x, y


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Attention by plain matrix products, for the fused kernels have no second derivative; reentrant checkpoints are refused."""
    with sdpa_kernel(SDPBackend.MATH), no_reentrant_checkpoints():
        yield


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Errors of torch or of the user's network become a UsageError that starts with `what`."""
    try:
        yield
    except (UsageError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AttributeError) as error:
        text = str(error).strip() or type(error).__name__
        raise UsageError(f"{what}: {text.splitlines()[0]}") from error


def finite(tensors: Sequence[torch.Tensor], what: str) -> None:
    """UsageError unless all are."""
    if not all(bool(torch.isfinite(t).all()) for t in tensors):
        raise UsageError(
            f"{what} are not finite though the loss is (a square root, a norm or a logarithm at 0): curvature needs finite ones"
        )
