"""Runtimes other than eager PyTorch, compared with it before they are timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from blockzoo.core.contracts import CHECKS
from blockzoo.models.agreement import Claim, compare, probes

if TYPE_CHECKING:
    from jaxtyping import Float

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Of the largest output."""
MANY = 16
"""Inputs at a time from which on one batch of them is compared, and no second one of large values."""


@CHECKS.register("other-runtime")
def check_runtime(
    eager: Callable[[Any], Any], other: Callable[[Any], Any], example: Float[torch.Tensor, "B ..."], what: str
) -> float:
    """What another runtime (the compiler, ONNX Runtime, OpenVINO, one of your own) gives, against eager PyTorch in the same
    dtype, on inputs of the shape that is timed, before it is.

    Catches: an operation that is exported, fused or computed otherwise, weights of another network, outputs that are missing or
    in another order, numbers of fewer bits than were asked for.

    Tolerance: 1e-4 of the largest output, in bfloat16 5e-2; or 30 times what the network itself moves by when its input is off
    by rounding, up to 0.1. Large inputs on which that is more show nothing.

    Cost: two passes of the network by either, one for batches of 16 or more, before its first time is taken.
    """
    inputs = probes(example, special=False)[: 1 if len(example) >= MANY else 2]
    claim = Claim("other-runtime", what, TOLERANCES[example.dtype])
    with torch.inference_mode():
        return compare(claim, eager, other, inputs, unsure=(1,))
