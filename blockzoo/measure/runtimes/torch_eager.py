"""Plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from blockzoo.measure.contracts import RUNTIMES


@RUNTIMES.register("eager")
def eager(model: nn.Module, example: torch.Tensor) -> Callable[[Any], Any]:
    """PyTorch as it is, one kernel after another."""
    return model
