"""A plan run once before it is given: what it computes against the network, its memory against what was predicted."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.measure.memory import peak_memory
from blockzoo.tiling.executor import TiledRunner
from blockzoo.tiling.steps import Plan
from blockzoo.tiling.trace import planned_inputs

PROVED_MACS = 2_000_000_000
"""Plans of no more multiply-adds are run once: some tenths of a second."""
TOLERANCE = 0.01


def proved(model: nn.Module, plan: Plan) -> Plan:
    """The plan, with what its checks found (`checked`, `agreement`) where running it costs little: up to `PROVED_MACS`, in fp32,
    for this package's executor.
    """
    if plan.dtype != "fp32" or plan.target != "torch" or plan.macs > PROVED_MACS:
        return plan
    runner = TiledRunner(model, plan)
    return replace(plan, checked=check_planned_memory(runner, plan), agreement=runner.checked)


@CHECKS.register("planned-memory")
def check_planned_memory(runner: TiledRunner, plan: Plan) -> float:
    """The predicted peak of live activations against the storages that are tracked while the plan runs once on zeros.

    Catches: a value that is held longer than predicted, a copy or an index nobody counted, a write in place that is none.

    Tolerance: 1 % more than predicted.

    Cost: one tiled pass of the network (not measured). Only up to 2 G multiply-adds, in fp32.
    """
    found = peak_memory(runner, *planned_inputs(runner, plan))
    if found > (1 + TOLERANCE) * plan.peak_bytes:
        raise CheckFailed(
            f"{runner.name}: check 'planned-memory' failed: the plan says {plan.peak_bytes:,} bytes and {found:,} were "
            "alive while it ran, so it is not given; plan it in another mode, or with another budget"
        )
    return abs(found - plan.peak_bytes) / max(1, plan.peak_bytes)
