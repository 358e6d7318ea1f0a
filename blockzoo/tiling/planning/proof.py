"""A plan run once before it is given: its memory against what was predicted, what it computes against the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError, CheckFailed, UsageError
from blockzoo.measure.memory import LiveMemory
from blockzoo.models.agreement import probes
from blockzoo.models.findings import said
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.planning.memory import state_of
from blockzoo.tiling.planning.plan import ITEM_BYTES, Plan, PlannedStep, program
from blockzoo.tiling.planning.prediction import cost
from blockzoo.tiling.planning.tile_memory import Counted
from blockzoo.tiling.runtime.interpreter import Interpreter
from blockzoo.tiling.runtime.runner import TiledRunner

PROVED_MACS = 2_000_000_000
"""Plans of no more multiply-adds are run once: some tenths of a second."""
TOLERANCE, SLACK = 0.01, 256
"""More than predicted: a share, and bytes, which single numbers take."""


def measured(network: Network, plan: Plan, inputs: Sequence[torch.Tensor], own: str, name: str) -> Plan:
    """The plan, with how far the memory of a run is from it (`checked`) where running it costs little: up to `PROVED_MACS`, as
    this package's executor counts.

    Args:
        network: that was planned, with its weights.
        plan: of it, as predicted.
        inputs: of the planned shapes, where the network is.
        own: its dtype, by name.
        name: of the network, for messages.
    """
    if plan.dtype == "int8" or plan.macs > PROVED_MACS or inputs[0].is_meta:
        return plan
    return replace(plan, checked=check_planned_memory(network, plan, inputs, own, name))


def proved(model: nn.Module, plan: Plan) -> Plan:
    """The plan, with how far its result is from the network's (`agreement`) where running it costs little: up to `PROVED_MACS`,
    in fp32, for this package's executor.
    """
    if plan.dtype != "fp32" or plan.target != "torch" or plan.macs > PROVED_MACS:
        return plan
    return replace(plan, agreement=TiledRunner(model, plan).checked)


@CHECKS.register("planned-memory")
def check_planned_memory(
    network: Network, plan: Plan, inputs: Sequence[torch.Tensor], own: str, name: str
) -> float:
    """The predicted peak of live activations against the storages that are tracked while the plan runs once on zeros (on numbers
    of 0 to 1 where the network does not take those), in the network's own dtype.

    Catches: a value that is held longer than predicted, a copy or an index nobody counted, a write that is not in place.

    Tolerance: 1 % and 256 bytes more than predicted.

    Cost: one tiled pass of the network; MobileNetV2 at 224, 0.34 s of one core (AMD EPYC). Only up to 2 G multiply-adds;
    not for int8, which this package does not run.

    Args: see `measured`.
    """
    parts, interpreter = program(network, plan.steps, plan.mode), Interpreter(network)
    memory = _tracked(interpreter, parts, inputs, name)
    planned, alive = plan.peak_bytes, memory.peak
    if ITEM_BYTES[own] != ITEM_BYTES[plan.dtype]:
        planned = cost(network, parts, Counted(ITEM_BYTES[own])).peak_bytes
    if alive > (1 + TOLERANCE) * planned + SLACK:
        raise CheckFailed(
            f"{name}: check 'planned-memory' failed: the plan says {planned:,} bytes and {alive:,} were "
            f"alive while it ran, at {memory.where}, so it is not given; plan it in another mode, or with another budget"
        )
    return abs(alive - planned) / max(1, planned)


def _tracked(
    interpreter: Interpreter, parts: Sequence[PlannedStep], inputs: Sequence[torch.Tensor], name: str
) -> LiveMemory:
    """The memory of a run on these inputs, or on others of their shapes where the network does not take them.

    Raises:
        UsageError: it takes neither.
    """
    network = interpreter.network
    state = [tensor for operation in network.operations for tensor in state_of(operation.payload)]
    others = [probes(x)[0].abs().clamp(max=1) if x.is_floating_point() else x for x in inputs]
    raised: Exception | None = None
    for tensors in (inputs, others):
        memory = LiveMemory(exclude=[*tensors, *state, *network.constants.values()])
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad(), memory:
                values = interpreter.values_of(tensors, parts)
                del values
            return memory
        except (BlockzooError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raised = error
    assert raised is not None
    raise UsageError(
        f"{name} takes neither images of zeros nor of numbers of 0 to 1 ({said(raised)}), so that no plan of it can be tried"
    ) from raised
