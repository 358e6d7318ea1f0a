"""Muon: momentum whose matrices are made orthogonal before a step, for the weights of hidden layers.

Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024. torch.optim.Muon has the same steps, of
matrices alone and in bfloat16 whatever the hardware; here weights of convolutions are matrices too, and the iteration is in the
dtype of the weights, so that a processor without bfloat16 is not slower and comes to the same numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial of degree five that moves singular values towards 1 fastest where they are small."""
ITERATIONS = 5
SMALLEST = 1e-7
"""The least norm that a matrix is divided by."""
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Muon(torch.optim.SGD):
    """SGD, but for groups of parameters with `matrices`: these take a step by their momentum made orthogonal.

    The matrix of a convolution has a row for each output channel; of one in groups each group is a matrix of its own. A step is
    lr * sqrt(max(1, rows / columns)) times the orthogonal matrix; weight decay is decoupled (lr * decay of the weight).

    Args:
        groups: as torch's optimisers take them; with `matrices` (how many each parameter has) and `momentum_of_matrices`, and
            SGD's own momentum 0.
        lr, momentum, nesterov: of the groups that do not say it.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, *, momentum: float, nesterov: bool) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """A step; gradients of matrices are replaced by what they were moved by."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                if group.get("matrices"):
                    self._make_orthogonal(group)
        super().step()
        return loss

    def _make_orthogonal(self, group: dict[str, Any]) -> None:
        momentum = group["momentum_of_matrices"]
        alike: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
        for parameter, count in zip(group["params"], group["matrices"], strict=True):
            if (gradient := parameter.grad) is None:
                continue
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            ahead = gradient.lerp(buffer, momentum) if self.defaults["nesterov"] else buffer
            matrices = ahead.reshape(count, len(parameter) // count, -1)
            alike[matrices.shape[1], matrices.shape[2]].append((gradient, matrices))
        for (rows, columns), those in alike.items():
            updates = orthogonalised(torch.cat([matrices for _, matrices in those]))
            updates *= math.sqrt(max(1, rows / columns))
            for (gradient, _), own in zip(those, updates.split([len(m) for _, m in those]), strict=True):
                gradient.copy_(own.reshape(gradient.shape))


def orthogonalised(matrices: Float[torch.Tensor, "n rows columns"]) -> Float[torch.Tensor, "n rows columns"]:
    """Of each matrix U S V^T nearly U V^T, by Newton and Schulz's iteration: its singular values become 0.7 to 1.2.

    Those below a hundredth of the matrix' norm are not yet so near; a matrix of 0 stays one.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = x.mT if tall else x
    return result


def hidden_weights(network: nn.Module) -> dict[nn.Parameter, int]:
    """The weights that Muon trains, with the number of matrices that each is: those of convolutions and linear layers.

    Not those of the first such layer nor of the last linear one, which look at pixels and make the logits, and no tables, scales
    or weights that a block applies by functions of its own.

    Raises:
        UsageError: there are none.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, LAYERS)]
    heads = [layer for layer in layers if isinstance(layer, nn.Linear)]
    ends = {id(layer.weight) for layer in [*layers[:1], *heads[-1:]]}
    trained = {id(p) for p in network.parameters() if p.requires_grad}
    weights: dict[nn.Parameter, int] = {
        layer.weight: int(getattr(layer, "groups", 1))
        for layer in layers
        if isinstance(layer.weight, nn.Parameter)
        and id(layer.weight) in trained - ends  # a weight that is computed is no parameter
    }
    if not weights:
        raise UsageError(
            f"{type(network).__name__} has no convolution or linear layer between its first and its last: leave out muon_lr"
        )
    return weights
