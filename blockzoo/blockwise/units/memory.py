"""Working memory of each client: what a machine that trains its block, or the whole network, must hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.view import RunView


@UNITS.register("working-memory", aliases=("Working_memory_usage", "working_memory_usage"))
class WorkingMemory:
    """Bytes of parameters and optimiser state, per client and for all together."""

    def measure(self, run: RunView) -> dict[str, Any]:
        """A client holds the whole network, for its forward pass, and the gradient and the optimiser state of what it trains."""
        network = _bytes(run.model.parameters())
        buffers = _bytes(run.model.buffers())
        trained = [_bytes(c.parameters) + _state_bytes(c.optimizer) for c in run.clients]
        clients = [network + buffers + own for own in trained]
        return {
            "parameter_bytes": network,
            "client_memory_bytes": clients,
            "all_clients_memory_bytes": sum(clients),
        }


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    held = [v for values in optimizer.state.values() for v in values.values()]
    return _bytes(v for v in held if torch.is_tensor(v))


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
