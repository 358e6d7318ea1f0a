"""Plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.measure.contracts import RUNTIMES

if TYPE_CHECKING:
    from jaxtyping import Float


@RUNTIMES.register("eager")
def eager(model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> Callable[[Any], Any]:
    """PyTorch as it is, one kernel after another."""
    return model
