"""Products with the Hessian of a frozen loss, block by block.

The gradient is computed once, with its graph; a product is then one backward pass through that graph, and one for a pair of
blocks visits only what leads from the one to the other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.core.errors import RequestError

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]


class Hessian:
    """The Hessian of the mean loss over fixed batches, as blocks H_ij of a partition.

    The network is copied and put into evaluation mode, so that the loss is one fixed function; batches count by their number
    of examples.

    Args:
        model: the network.
        loss_fn: (output, target) -> mean loss over the examples.
        batches: (x, y) each; several smaller ones need less memory at a time, and their graphs are all kept.
        partition: see `make_partition`.

    Raises:
        RequestError: no batch, a loss that is not finite, or one that differs from call to call.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        batches: Sequence[Batch],
        partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "blocks",
    ) -> None:
        if not batches:
            raise RequestError("no batch: the loss needs at least one (x, y)")
        self.model = copy.deepcopy(model).eval().requires_grad_(True)
        self.partition = make_partition(self.model, partition)
        self.blocks = self.partition.parameters(self.model)
        self.sizes = [sum(p.numel() for p in block) for block in self.blocks]
        self._loss_fn, self._batches = loss_fn, list(batches)
        examples = sum(len(x) for x, _ in batches)
        self._weights = [len(x) / examples for x, _ in batches]
        self.products = 0
        """Backward passes through the gradient so far, each over all batches."""
        self._check_loss()
        self._gradients = [self._gradient(x, y) for x, y in self._batches]

    @property
    def like(self) -> torch.Tensor:
        """A tensor of the type and on the device of the parameters."""
        return self.blocks[0][0].detach()

    def loss(self) -> float:
        """The frozen loss."""
        with torch.no_grad(), exact_kernels():
            parts = [
                w * self._loss_fn(self.model(x), y)
                for w, (x, y) in zip(self._weights, self._batches, strict=True)
            ]
        return float(torch.stack(parts).sum())

    def _check_loss(self) -> None:
        first, second = self.loss(), self.loss()
        if first != first or first in (float("inf"), -float("inf")):
            raise RequestError(f"the loss is {first:g}: curvature needs a finite one")
        if first != second:
            raise RequestError(
                f"the loss differs from call to call ({first!r}, {second!r}): switch off what is random in evaluation mode"
            )

    def _gradient(self, x: torch.Tensor, y: torch.Tensor) -> list[list[torch.Tensor]]:
        with torch.enable_grad(), exact_kernels():
            loss = self._loss_fn(self.model(x), y)
            found_flat = torch.autograd.grad(
                loss, [p for block in self.blocks for p in block], create_graph=True, materialize_grads=True
            )
        found, rest = [], list(found_flat)
        for block in self.blocks:
            found.append(rest[: len(block)])
            rest = rest[len(block) :]
        return found

    def gradient(self) -> list[torch.Tensor]:
        """The gradient by block, flat."""
        return [
            sum(
                (w * flat(g[i]).detach() for w, g in zip(self._weights, self._gradients, strict=True)),
                torch.zeros(size).to(self.like),
            )
            for i, size in enumerate(self.sizes)
        ]

    def pair(self, i: int, j: int, v: torch.Tensor) -> torch.Tensor:
        """H_ij v: (size of i,) for v (size of j,)."""
        return self._product(j, v, [i])[0]

    def column(self, j: int, v: torch.Tensor) -> list[torch.Tensor]:
        """H_ij v for every block i, in one product."""
        return self._product(j, v, range(len(self.blocks)))

    def full(self, v: torch.Tensor) -> torch.Tensor:
        """H v: (all parameters,) in the order of the blocks."""
        parts = list(torch.split(v, self.sizes))
        self.products += 1
        total = [torch.zeros_like(part) for part in parts]
        for weight, gradient in zip(self._weights, self._gradients, strict=True):
            outputs = [g for block in gradient for g in block]
            seeds = [s for block, part in zip(self.blocks, parts, strict=True) for s in shaped(part, block)]
            found = self._backward(outputs, seeds, range(len(self.blocks)))
            total = [a.add_(b, alpha=weight) for a, b in zip(total, found, strict=True)]
        return torch.cat(total)

    def _product(self, j: int, v: torch.Tensor, rows: Sequence[int]) -> list[torch.Tensor]:
        self.products += 1
        seeds = shaped(v, self.blocks[j])
        total = [torch.zeros(self.sizes[i]).to(self.like) for i in rows]
        for weight, gradient in zip(self._weights, self._gradients, strict=True):
            found = self._backward(gradient[j], seeds, rows)
            total = [a.add_(b, alpha=weight) for a, b in zip(total, found, strict=True)]
        return total

    def _backward(
        self, outputs: Sequence[torch.Tensor], seeds: Sequence[torch.Tensor], rows: Sequence[int]
    ) -> list[torch.Tensor]:
        """Derivatives of <outputs, seeds> by the parameters of some blocks, flat."""
        live = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
        if not live:  # a gradient that does not depend on any parameter
            return [torch.zeros(self.sizes[i]).to(self.like) for i in rows]
        asked = [p for i in rows for p in self.blocks[i]]
        found = torch.autograd.grad(
            [o for o, _ in live], asked, [s for _, s in live], retain_graph=True, materialize_grads=True
        )
        rest, parts = list(found), []
        for i in rows:
            parts.append(flat(rest[: len(self.blocks[i])]).detach())
            rest = rest[len(self.blocks[i]) :]
        return parts


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Attention by plain matrix products: the fused kernels have no second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors one after the other, as a vector."""
    return torch.cat([t.reshape(-1) for t in tensors])


def shaped(v: torch.Tensor, block: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """A vector cut into the shapes of a block's tensors."""
    return [
        part.view_as(p) for part, p in zip(torch.split(v, [p.numel() for p in block]), block, strict=True)
    ]


def exact_hessian(
    model: nn.Module,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "tensor",
) -> torch.Tensor:
    """The whole Hessian (P, P), one product per parameter: for networks of a few thousand parameters.

    Rows and columns are in the order of `partition`; by default that of `model.parameters()`.

    Raises:
        RequestError: as `Hessian`, or more than 20,000 parameters.
    """
    hessian = Hessian(model, loss_fn, batches, partition)
    size = sum(hessian.sizes)
    if size > 20_000:
        raise RequestError(
            f"an exact Hessian of {size:,} parameters takes {size**2 * 4 / 2**30:.0f} GiB; coupling_map needs none"
        )
    unit = torch.zeros(size).to(hessian.like)
    columns = torch.empty(size, size).to(hessian.like)
    for k in range(size):
        unit[k] = 1
        columns[:, k] = hessian.full(unit)
        unit[k] = 0
    return (columns + columns.T) / 2
