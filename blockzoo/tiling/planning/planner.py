"""Plans: which parts of a network to fuse, into how many tiles, within what memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from blockzoo.core.checked import sorted_into
from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.tiling.graph.trace import Example, dtype_name, planned_inputs, ready, traced
from blockzoo.tiling.planning.keywords import PlanningKeywords
from blockzoo.tiling.planning.options import Planning
from blockzoo.tiling.planning.plan import Plan, program, whole_steps
from blockzoo.tiling.planning.prediction import timeline
from blockzoo.tiling.planning.proof import measured
from blockzoo.tiling.planning.search import Planner

if TYPE_CHECKING:
    from typing_extensions import Unpack


def plan(model: nn.Module, example_input: Example, **options: Unpack[PlanningKeywords]) -> Plan:
    """How to run a network in little memory.

    With `grid` and `fuse_to`, everything up to that module is one stage of that many tiles. With a budget, the plan with the
    fewest multiply-adds and tiles whose peak lies within it, tiles together as far as the budget goes. With neither, the least
    memory for at most 1.2 times the multiply-adds.

    Args:
        model: any network; if its layers are blocked already (`block_convert`), their tiles stay as they are.
        example_input: (N, C, H, W); only its shape and type matter. Several inputs as a sequence, the image first.
        options: of the table Planning in docs/settings.md.

    Raises:
        UsageError: an option out of its range, a network that cannot be traced, a stage that cannot be or saves nothing, or a
            budget that no plan reaches: the message names the layer that needs more.
        CheckFailed: a run needs more memory than was predicted; see `proof.check_planned_memory`.
    """
    (settings,) = sorted_into(options, Planning, what="plan")
    planner = _planner(model, example_input, settings)
    limit = None if settings.budget is None else bytes_of(settings.budget)
    if settings.fuse_to is not None:
        chosen = planner.fused(settings.tiles, settings.fuse_to, settings.batch, limit)
    else:
        chosen = planner.least_memory() if limit is None else planner.within(limit)
    return _measured(model, example_input, planner, chosen)


def pareto(model: nn.Module, example_input: Example, **options: Unpack[PlanningKeywords]) -> list[Plan]:
    """The plans that are Pareto-optimal in peak bytes, multiply-adds and tiles, the least memory first; those within a budget.

    The first of them, which needs the least, is run as `plan` does it.

    Args, raises: as for `plan`; a grid and a batch are of one plan, and refused.
    """
    (settings,) = sorted_into(options, Planning, what="pareto")
    if settings.grid is not None or settings.batch != 1:
        raise UsageError("grid, fuse_to and batch are of one plan, not of a front: leave them out")
    planner = _planner(model, example_input, settings)
    limit = None if settings.budget is None else bytes_of(settings.budget)
    least, *others = planner.front(limit) or [planner.within(limit or 0)]
    return [_measured(model, example_input, planner, least), *others]


def _planner(model: nn.Module, example: Example, asked: Planning) -> Planner:
    if not isinstance(model, nn.Module):
        raise UsageError(f"{describe(model)}: give one network, a torch nn.Module")
    dtype = asked.dtype or dtype_name(model, example)
    network = traced(ready(model, example, asked.fold), example)
    return Planner(network, asked.mode, dtype, asked.fold, asked.counted(dtype))


def _measured(model: nn.Module, example: Example, planner: Planner, plan: Plan) -> Plan:
    """The plan, run once where that costs little."""
    own, name = dtype_name(model, example), type(model).__name__
    return measured(planner.network, plan, planned_inputs(model, plan), own, name)


def timelines(model: nn.Module, plan: Plan) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Multiply-adds so far and live bytes, layer by layer and as planned: see `prediction.timeline`."""
    example = planned_inputs(model, plan)
    network = traced(ready(model, example, plan.fold), example)
    counted = Planning().counted(plan.dtype)
    before, after = (program(network, steps, plan.mode) for steps in (whole_steps(network), plan.steps))
    return timeline(network, before, counted), timeline(network, after, counted)


def bytes_of(budget: int | str) -> int:
    """Bytes from a number or a text.

    Raises:
        UsageError: it is no size.
    """
    size = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?)(i?)b?\s*", str(budget).lower())
    if not size or float(size[1]) <= 0:
        raise UsageError(f"budget {budget!r}: give bytes, as 262144, 256KiB or 1.5MiB")
    return int(float(size[1]) * (1024 if size[3] else 1000) ** " kmg".index(size[2] or " "))
