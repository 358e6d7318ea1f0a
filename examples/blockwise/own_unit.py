"""A measurement unit of one's own: the share of ReLUs that no training example makes active.

blockzoo blockwise --plugin examples/blockwise/own_unit.py --units dead-neurons --dataset digits
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from blockzoo.blockwise.run.view import RunView
from blockzoo.contracts import UNITS


@UNITS.register("dead-neurons")
class DeadNeurons:
    """Share of a ReLU's outputs that are zero for all probed examples, one number per ReLU."""

    def measure(self, run: RunView) -> dict[str, Any]:
        """A hook on every ReLU, one forward pass."""
        shares: list[float] = []

        def look(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            shares.append(float((output <= 0).all(0).float().mean()))

        hooks = [m.register_forward_hook(look) for m in run.model.modules() if isinstance(m, nn.ReLU)]
        with torch.no_grad():
            for x, _ in run.probe(1, 512):
                run.model(x)
        for hook in hooks:
            hook.remove()
        return {"dead_share": shares}
