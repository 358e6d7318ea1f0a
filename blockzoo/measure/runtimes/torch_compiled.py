"""PyTorch through its compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch._dynamo
from torch import nn

from blockzoo.measure.contracts import RUNTIMES

if TYPE_CHECKING:
    from jaxtyping import Float

LIMITS = (
    "recompile_limit",
    "accumulated_recompile_limit",
    "cache_size_limit",
    "accumulated_cache_size_limit",
)
"""After so many networks of one class torch's compiler leaves the next ones as they are, and only logs it."""


@RUNTIMES.register("compile", aliases=("compiled",))
def compiled(model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> Callable[[Any], Any]:
    """torch.compile, for this shape alone, compiled before the clock starts (needs a C++ compiler on the CPU)."""

    def call(x: torch.Tensor) -> Any:
        return model(x)

    call.__code__ = (
        call.__code__.replace()
    )  # code of its own: what is compiled is kept by code, not by network
    function: Callable[[Any], Any] = torch.compile(call, dynamic=False)
    config: Any = torch._dynamo.config
    names = [name for name in LIMITS if hasattr(config, name)]
    with torch.inference_mode(), config.patch(dict.fromkeys(names, 2**31)):
        function(example)
    return function
