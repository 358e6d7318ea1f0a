"""Working memory of each client: what a machine that trains its block, or the whole network, must hold."""

from __future__ import annotations

from typing import Any

import torch

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.frame import Frame


@UNITS.register("working-memory", aliases=("Working_memory_usage", "working_memory_usage"))
class WorkingMemory:
    """Bytes of parameters and optimiser state, per client and for all together."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """A client holds the whole network, for its forward pass, and the gradient and the optimiser state of what it trains."""
        network = _bytes(frame.model.parameters())
        buffers, gradients = _bytes(frame.model.buffers()), _bytes(frame.whole.parameters)
        mode = frame.options.training_mode
        if mode == "entire":
            trained = [gradients + _state_bytes(frame.whole.optimizer)]
        elif mode == "local-sgd":
            states = [_state_bytes(optimizer) for optimizer in frame.worker_optimizers]
            trained = [gradients + state for state in states or [0] * len(frame.blocks)]
        else:
            trained = [_bytes(s.parameters) + _state_bytes(s.optimizer) for s in frame.blocks]
        clients = [network + buffers + own for own in trained]
        return {
            "parameter_bytes": network,
            "client_memory_bytes": clients,
            "all_clients_memory_bytes": sum(clients),
        }


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    held = [v for values in optimizer.state.values() for v in values.values()]
    return _bytes(v for v in held if torch.is_tensor(v))


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
