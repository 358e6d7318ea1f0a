"""Working memory of each client: what a machine that trains one block must hold."""

from __future__ import annotations

from typing import Any

import torch

from blockzoo.blockwise.frame import BlockState, Frame
from blockzoo.core.contracts import UNITS


@UNITS.register("working-memory", aliases=("Working_memory_usage", "working_memory_usage"))
class WorkingMemory:
    """Bytes of parameters and optimiser state, per client and for all together."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """A client holds the whole network, for its forward pass, and the gradient and the optimiser state of its block."""
        network = _bytes(frame.model.parameters())
        buffers = _bytes(frame.model.buffers())
        if frame.options.training_mode == "entire":
            clients = [network * 2 + buffers + _state_bytes(frame.whole)]
        else:
            clients = [network + buffers + _bytes(s.parameters) + _state_bytes(s) for s in frame.blocks]
        return {
            "parameter_bytes": network,
            "client_memory_bytes": clients,
            "all_clients_memory_bytes": sum(clients),
        }


def _state_bytes(state: BlockState) -> int:
    held = [v for values in state.optimizer.state.values() for v in values.values()]
    return _bytes(v for v in held if torch.is_tensor(v))


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
