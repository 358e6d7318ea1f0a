"""PyTorch through its compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.measure.contracts import RUNTIMES

if TYPE_CHECKING:
    from jaxtyping import Float


@RUNTIMES.register("compile")
def compiled(model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> Callable[[Any], Any]:
    """torch.compile with default settings, compiled before the clock starts (needs a C++ compiler on the CPU)."""
    function = torch.compile(model)
    with torch.no_grad():
        function(example)
    return function
