"""The loss as one fixed function of the parameters: a copy of the network in evaluation mode, on fixed batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from blockzoo.blockwise.data import Batch, Examples, as_batches
from blockzoo.blockwise.losses import batch_loss, no_reentrant_checkpoints
from blockzoo.core.errors import RequestError

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batches = Examples | Batch | Iterable[Batch]
HALF = (torch.float16, torch.bfloat16)
PROBED = 4
"""Examples that checks are made on."""


class FrozenLoss:
    """The mean loss over fixed batches, which count by their number of examples; a loss that is a sum is summed over them.

    Frozen parameters (`requires_grad` False) stay constants. Numbers of 16 bits are computed with 32, gradients of embeddings
    are dense, and the network gets copies of its inputs, for it may write to them: none of this changes the function.

    Args:
        model: the network; it is left as it is.
        loss_fn: (output, target) -> one number.
        batches: (x, y), several, or whatever hands them out; several smaller ones need less memory at a time.

    Raises:
        RequestError: no example, a network that cannot be copied or run on these, or a loss that is not finite, differs from call
            to call, is not one number, or is neither a mean nor a sum over the examples.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFunction, batches: Batches) -> None:
        self._loss_fn = loss_fn
        self.model = _prepared(model)
        like = next(p for p in self.model.parameters() if p.requires_grad)
        self.batches = [_like(batch, like) for batch in as_batches(batches)]
        if not self.batches:
            raise RequestError("no batch: the loss needs at least one (x, y)")
        counts = [len(x) for x, _ in self.batches]
        if 0 in counts:
            raise RequestError(f"batch {counts.index(0)} has no examples: leave it out")
        self.weights = [count / sum(counts) for count in counts]
        self._check()

    @property
    def value(self) -> float:
        """The loss."""
        with torch.no_grad():
            parts = [w * self.of(x, y) for w, (x, y) in zip(self.weights, self.batches, strict=True)]
        return float(torch.stack(parts).sum())

    def of(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss of one batch."""
        with plain_kernels():
            return batch_loss(self.model, self._loss_fn, x, y)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """The network's outputs for one batch."""
        with plain_kernels():
            return self.model(x.clone())

    def of_outputs(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss of these outputs."""
        return batch_loss(lambda o: o, self._loss_fn, outputs, y)

    def elsewhere(self) -> FrozenLoss:
        """The same loss of a few examples, in float64 and at parameters near by, where no activation lies on a kink by design."""
        other = copy.copy(self)
        other.model = copy.deepcopy(self.model).double()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in other.model.parameters():
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.device)
                p += noise * 0.1 * (p.square().mean().sqrt() + 0.01)
        like = torch.zeros((), dtype=torch.float64)
        x, y = self.batches[0]
        other.batches = [_like((x[:PROBED], y[:PROBED]), like.to(x.device))]
        other.weights = [1.0]
        return other

    def _check(self) -> None:
        with in_words("the network cannot be run on these batches"):
            first, second = self.value, self.value
        if first != first or first in (float("inf"), -float("inf")):
            raise RequestError(f"the loss is {first:g}: curvature needs a finite one")
        if first != second:
            raise RequestError(
                f"the loss differs from call to call ({first!r}, {second!r}): switch off what is random in evaluation mode"
            )
        if len(self.batches) > 1:
            self.weights = self._weights_of_a_mean_or_sum()

    def _weights_of_a_mean_or_sum(self) -> list[float]:
        """Found out on a batch whose examples are there twice."""
        x, y = self.batches[0]
        with torch.no_grad(), in_words("the network cannot be run on a batch of twice the size"):
            once = float(self.of(x, y))
            twice = float(self.of(torch.cat([x, x]), torch.cat([y, y])))
        if abs(twice - once) <= 1e-3 * abs(once):
            return self.weights
        if abs(twice - 2 * once) <= 1e-3 * abs(once):
            return [1.0] * len(self.batches)
        raise RequestError(
            f"the loss of a batch is {once:g}, of the same examples twice {twice:g}: it is neither their mean nor their sum, so "
            "several batches do not add up to one loss; give all examples as one batch"
        )


def _prepared(model: nn.Module) -> nn.Module:
    """A copy whose loss has second derivatives."""
    try:
        own = copy.deepcopy(model).eval()
    except RuntimeError as error:
        raise RequestError(f"this network cannot be copied: {error}") from error
    trainable = [p for p in own.parameters() if p.requires_grad]
    if not trainable:
        raise RequestError(
            "this network has no parameters that are not frozen: there is nothing to differentiate by"
        )
    if any(p.dtype in HALF for p in own.parameters()):
        own.float()
    if odd := next((p.dtype for p in trainable if p.dtype not in (torch.float32, torch.float64)), None):
        raise RequestError(f"parameters of type {odd}: curvature is computed with float32 or float64")
    for module in own.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False
    return own


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
    """Errors of torch or of the user's network become a RequestError that starts with `what`."""
    try:
        yield
    except (RequestError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = str(error).strip() or type(error).__name__
        raise RequestError(f"{what}: {said.splitlines()[0]}") from error


def finite(tensors: Sequence[torch.Tensor], what: str) -> None:
    """RequestError unless all are."""
    if not all(bool(torch.isfinite(t).all()) for t in tensors):
        raise RequestError(
            f"{what} are not finite though the loss is (a square root, a norm or a logarithm at 0): curvature needs finite ones"
        )
