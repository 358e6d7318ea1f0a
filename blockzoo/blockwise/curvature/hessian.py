"""Products with the Hessian of a frozen loss, block by block.

The gradient is computed once, with its graph; a product is then one backward pass through that graph, and one for a pair of
blocks visits only what leads from the one to the other.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.blockwise.curvature.checks import second_derivatives
from blockzoo.blockwise.curvature.entries import check_entries
from blockzoo.blockwise.curvature.frozen_loss import (
    Batches,
    FrozenLoss,
    LossFunction,
    finite,
    in_words,
    plain_kernels,
)
from blockzoo.blockwise.curvature.given import check_as_given
from blockzoo.blockwise.curvature.precision import in_double
from blockzoo.blockwise.curvature.widening import copied
from blockzoo.blockwise.partition import Partition, make_partition
from blockzoo.core.errors import UsageError
from blockzoo.models.surroundings import Surroundings

if TYPE_CHECKING:
    from jaxtyping import Float


How = str | Partition | dict[str, str] | Sequence[Sequence[str]]
TOGETHER = 2**22
"""Numbers of a stack of directions and their products that are computed at once."""


class Hessian:
    """The Hessian of the loss over fixed batches, as blocks H_ij of a partition.

    A frozen parameter is a constant: it belongs to no block, and a block of such parameters has the size 0.

    Args:
        model: any network; it is left as it is.
        loss_fn: (output, target) -> one number, a mean or a sum over the examples.
        batches: (x, y), several; the loss is over all of them.
        partition: see `make_partition`.

    Raises:
        UsageError: as `FrozenLoss` and `make_partition`; something without a second derivative.
        CheckFailed: second derivatives that are not those of the gradient.
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFunction, batches: Batches, partition: How = "blocks"
    ) -> None:
        around = Surroundings(model)
        try:
            self._build(FrozenLoss(model, loss_fn, batches), partition)
            as_given = check_as_given(self.frozen, model)
        finally:
            around.restore()
        deviation, self.rounded = second_derivatives(self)
        """Relative error of products, where the network computes in fewer bits than its parameters have."""
        self.checked = {"network-as-given": as_given, "second-derivatives": max(deviation, self.rounded)}
        self.check_entries(columns=False)

    def _build(self, loss: FrozenLoss, partition: How) -> None:
        self.frozen, self.model = loss, loss.model
        self.partition = make_partition(self.model, partition)
        of_blocks = self.partition.parameters(self.model)
        self.blocks = [[p for p in block if p.requires_grad] for block in of_blocks]
        self.sizes = [sum(p.numel() for p in block) for block in self.blocks]
        self.products = 0
        """Backward passes through the gradient so far, each over all examples."""
        with in_words("this loss has no second derivatives"):
            self._gradient = self._differentiated()
        finite(self.gradient(), "gradients")

    def check_entries(self, columns: bool) -> None:
        """`check_entries`, and what it finds is kept."""
        if (deviation := check_entries(self, columns)) is not None:
            before = self.checked.get("second-derivatives-by-entry", 0.0)
            self.checked["second-derivatives-by-entry"] = max(deviation, before)

    def elsewhere(self, count: int, wide: bool, seed: int = 0) -> Hessian:
        """The same kind of matrix for `FrozenLoss.elsewhere`, unchecked: what checks compare."""
        other = object.__new__(type(self))
        other._build(self.frozen.elsewhere(count, wide, seed), self.partition)
        return other

    def in_type(self, dtype: torch.dtype | None, count: int) -> Hessian:
        """The same kind of matrix for `FrozenLoss.in_type`, unchecked."""
        other = object.__new__(type(self))
        other._build(self.frozen.in_type(dtype, count), self.partition)
        return other

    @property
    def like(self) -> Float[torch.Tensor, ""]:
        """A tensor of the type and on the device of the parameters."""
        return next(p for block in self.blocks for p in block).detach()

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [p for block in self.blocks for p in block]

    def loss(self) -> float:
        """The frozen loss."""
        return self.frozen.value

    def _differentiated(self) -> Any:
        """What products are made from: the gradient with its graph."""
        with torch.enable_grad(), plain_kernels():
            gradients = torch.autograd.grad(
                self.frozen.loss(), self._parameters, create_graph=True, materialize_grads=True
            )
        if any(g.layout is not torch.strided for g in gradients):
            raise UsageError("sparse gradients have no second derivative: sparse=False")
        return self._by_block(gradients)

    def _by_block(self, of_parameters: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
        """What there is one of for each parameter, cut into blocks."""
        rest = iter(of_parameters)
        return [[next(rest) for _ in block] for block in self.blocks]

    def gradient(self) -> list[Float[torch.Tensor, " size_i"]]:
        """The gradient by block, flat."""
        return [flat(block, self.like).detach() for block in self._gradient]

    def by_differences(
        self, v: Float[torch.Tensor, " parameters"], step: float
    ) -> Float[torch.Tensor, " parameters"]:
        """H v from gradients at two points, (all parameters,): exact but for step^2 and for rounding / step."""
        return self.differences(v, step)[0]

    def differences(
        self, v: Float[torch.Tensor, " parameters"], step: float
    ) -> tuple[Float[torch.Tensor, " parameters"], Float[torch.Tensor, " parameters"]]:
        """`by_differences`, and half the second difference of the gradients over the step: as large as rounding errors are."""
        low, high = (self._gradient_at(v, s) for s in (-step, step))
        middle = torch.cat(self.gradient())
        return (high - low) / (2 * step), (high + low - 2 * middle) / (2 * step)

    def _gradient_at(self, v: torch.Tensor, step: float) -> torch.Tensor:
        """The gradient, by plain backpropagation, a step along v away."""
        loss, parameters = self._moved(v, step)
        with torch.enable_grad(), plain_kernels():
            return flat(torch.autograd.grad(loss.loss(), parameters, materialize_grads=True), v)

    def _moved(self, v: torch.Tensor, step: float) -> tuple[FrozenLoss, list[nn.Parameter]]:
        """The loss, a step along v away, and its parameters."""
        loss = copy.copy(self.frozen)
        loss.model = copied(self.model)
        place = {id(own): p for own, p in zip(self.model.parameters(), loss.model.parameters(), strict=True)}
        parameters = [place[id(p)] for p in self._parameters]
        with torch.no_grad():
            for p, part in zip(parameters, shaped(v, parameters), strict=True):
                p.add_(part, alpha=step)
        return loss, parameters

    def pair(self, i: int, j: int, v: Float[torch.Tensor, " size_j"]) -> Float[torch.Tensor, " size_i"]:
        """H_ij v: (size of i,) for v (size of j,)."""
        return self._times({j: v}, [i])[0]

    def column(self, j: int, v: Float[torch.Tensor, " size_j"]) -> list[Float[torch.Tensor, " size_i"]]:
        """H_ij v for every block i, in one product."""
        return self._times({j: v}, range(len(self.blocks)))

    def columns(
        self, j: int, vectors: Float[torch.Tensor, "vectors size_j"]
    ) -> list[Float[torch.Tensor, "vectors size_i"]]:
        """`column` for each of the rows of `vectors` (n, size of j): (n, size of i) for every block i; n products, stacked."""
        rows = range(len(self.blocks))
        parts = []
        for some in vectors.split(max(1, min(64, TOGETHER // sum(self.sizes)))):
            try:
                parts.append(self._times({j: some}, rows))
            except (RuntimeError, NotImplementedError):  # an operation that cannot be stacked
                one_by_one = [self._times({j: v}, rows) for v in some]
                parts.append([torch.stack(pieces) for pieces in zip(*one_by_one, strict=True)])
        return [torch.cat(pieces) for pieces in zip(*parts, strict=True)]

    def full(self, v: Float[torch.Tensor, " parameters"]) -> Float[torch.Tensor, " parameters"]:
        """H v: (all parameters,) in the order of the blocks."""
        parts = dict(enumerate(torch.split(v, self.sizes)))
        return torch.cat(self._times(parts, range(len(self.blocks))))

    def _times(self, parts: dict[int, torch.Tensor], rows: Sequence[int]) -> list[torch.Tensor]:
        """The rows of H times a vector that is 0 outside some blocks, or times several, stacked in front."""
        stack = next(iter(parts.values())).shape[:-1]
        seeds = [s for j, v in parts.items() for s in shaped(v, self.blocks[j])]
        parameters = [p for i in rows for p in self.blocks[i]]
        with in_words("this loss has no second derivatives") if not stack else nullcontext():
            rest = iter(self._product(list(parts), seeds, parameters, bool(stack)))
        pieces = [[next(rest).detach().reshape(*stack, -1) for _ in self.blocks[i]] for i in rows]
        total = [torch.cat(row, -1) if row else self.like.new_zeros(*stack, 0) for row in pieces]
        finite(total, "second derivatives")
        self.products += int(stack[0]) if stack else 1
        return total

    def _product(
        self,
        columns: Sequence[int],
        seeds: Sequence[torch.Tensor],
        asked: Sequence[torch.Tensor],
        stacked: bool,
    ) -> Sequence[torch.Tensor]:
        """Derivatives of <gradient of some blocks, seeds> by the parameters `asked`."""
        return backward([g for j in columns for g in self._gradient[j]], seeds, asked, stacked)


def backward(
    outputs: Sequence[torch.Tensor],
    seeds: Sequence[torch.Tensor],
    asked: Sequence[torch.Tensor],
    stacked: bool,
) -> Sequence[torch.Tensor]:
    """Derivatives of <outputs, seeds>; zeros where there are none. Stacked: one for each place of the seeds' first dimension."""
    live = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    if not live or not asked:  # a gradient that does not depend on any parameter
        return [
            torch.zeros(*(seeds[0].shape[:1] if stacked and seeds else ()), *p.shape).to(p) for p in asked
        ]
    with warnings.catch_warnings() if stacked else nullcontext():
        if stacked:
            warnings.filterwarnings("ignore", "There is a performance drop")  # one after the other, in truth
        return torch.autograd.grad(
            [o for o, _ in live],
            asked,
            [s for _, s in live],
            retain_graph=True,
            materialize_grads=True,
            is_grads_batched=stacked,
        )


def flat(tensors: Sequence[torch.Tensor], like: torch.Tensor) -> Float[torch.Tensor, " numbers"]:
    """Tensors one after the other, as a vector; an empty one like `like` where there are none."""
    return torch.cat([t.reshape(-1) for t in tensors]) if tensors else like.new_zeros(0)


def shaped(v: Float[torch.Tensor, "... numbers"], block: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """A vector cut into the shapes of a block's tensors; what is stacked in front stays in front."""
    parts = torch.split(v, [p.numel() for p in block], dim=-1) if block else ()
    return [part.reshape((*v.shape[:-1], *p.shape)) for part, p in zip(parts, block, strict=True)]


def exact_hessian(
    model: nn.Module,
    loss_fn: LossFunction,
    batches: Batches,
    partition: How = "tensor",
) -> Float[torch.Tensor, "parameters parameters"]:
    """The whole Hessian (P, P), one product per parameter: for networks of a few thousand parameters.

    Rows and columns are in the order of `partition`; by default that of `model.parameters()`. Frozen parameters have none.

    Raises:
        UsageError: as `Hessian`, or more than 20,000 parameters.

    Examples:
        Least squares with N examples and one output has the Hessian 2 / N X^T X.

        >>> x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 1)
        >>> exact_hessian(nn.Linear(2, 1, bias=False), nn.functional.mse_loss, [(x, y)])
        tensor([[10., 14.],
                [14., 20.]])
    """
    hessian = Hessian(model, loss_fn, batches, partition)
    size, like = sum(hessian.sizes), hessian.like
    if size > 20_000:
        raise UsageError(
            f"an exact Hessian of {size:,} parameters takes {size**2 * 4 / 2**30:.0f} GiB; coupling_map needs none"
        )
    hessian = in_double(hessian)
    columns = [
        torch.cat(hessian.columns(j, torch.eye(n).to(hessian.like)), -1).to(like)
        for j, n in enumerate(hessian.sizes)
        if n
    ]
    matrix = torch.cat(columns)
    return (matrix + matrix.T) / 2
