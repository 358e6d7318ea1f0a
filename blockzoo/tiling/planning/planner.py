"""Plans: which parts of a network to fuse, into how many tiles, within what memory."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from blockzoo.core.errors import RequestError
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.graph.trace import Example, dtype_name, planned_inputs, ready, traced
from blockzoo.tiling.planning.plan import ITEM_BYTES, Plan, program, whole_steps
from blockzoo.tiling.planning.prediction import Counted, timeline
from blockzoo.tiling.planning.proof import measured
from blockzoo.tiling.planning.search import Planner
from blockzoo.tiling.planning.stage import MODES, Mode


def plan(
    model: nn.Module,
    example_input: Example,
    *,
    budget: int | str | None = None,
    grid: int | Sequence[int] | None = None,
    fuse_to: str | None = None,
    dtype: str | None = None,
    mode: Mode = "block",
    batch: int = 1,
    fold: bool = True,
    in_place_depthwise: bool = False,
) -> Plan:
    """How to run a network in little memory.

    With `grid` and `fuse_to`, everything up to that module is one stage of that many tiles. With a budget, the plan with the
    fewest multiply-adds and tiles whose peak lies within it, tiles together as far as the budget goes. With neither, the least
    memory for at most 1.2 times the multiply-adds.

    Args:
        model: any network; if its layers are blocked already (`block_convert`), their tiles stay as they are.
        example_input: (N, C, H, W); only its shape and type matter. Several inputs as a sequence, the image first.
        budget: bytes of live activations, as a number or "256KiB", "1.5MiB"; the input is not counted.
        grid: tiles of the map that enters the fused stage, 4 or (4, 2).
        fuse_to: the last module of that stage.
        dtype: "fp64", "fp32", "fp16" or "bf16", the network's own where none is given: as this package's executor runs, copies
            for padding and a pool's indices included; values of another type than the network's count as what they are.
            "int8": as on a device whose layers hold their input and output alone.
        mode: "block": tiles are independent, as in block convolution; "exact": the network's own result, halos computed again.
        batch: tiles that run together in the stage of `fuse_to`.
        fold: fold batch norms into convolutions.
        in_place_depthwise: depthwise convolutions write over their input (int8 alone).

    Raises:
        RequestError: an option out of its range, a network that cannot be traced, a stage that cannot be or saves nothing, or a
            budget that no plan reaches: the message names the layer that needs more.
        CheckFailed: a run needs more memory than was predicted; see `proof.check_planned_memory`.
    """
    own = dtype_name(model, example_input)
    dtype = dtype or own
    _check(dtype, mode, grid, fuse_to, batch)
    network = traced(ready(model, example_input, fold), example_input)
    counted = Counted(
        ITEM_BYTES[dtype], "bare" if dtype == "int8" else "runtime", in_place_depthwise and dtype == "int8"
    )
    made = Planner(network, mode, dtype, fold, counted)
    limit = None if budget is None else bytes_of(budget)
    if fuse_to is not None:
        tiles = pair(grid if isinstance(grid, int) else tuple(grid or ()), "grid")
        found = made.fused(tiles, fuse_to, batch, limit)
    else:
        found = made.least_memory() if limit is None else made.within(limit)
    return measured(network, found, planned_inputs(model, found), own, type(model).__name__)


def pareto(
    model: nn.Module,
    example_input: Example,
    *,
    dtype: str | None = None,
    mode: Mode = "block",
    fold: bool = True,
) -> list[Plan]:
    """The plans that are Pareto-optimal in peak bytes, multiply-adds and tiles, the least memory first.

    The first of them, which needs the least, is run as `plan` does it.

    Args, raises: as for `plan`.
    """
    own = dtype_name(model, example_input)
    dtype = dtype or own
    _check(dtype, mode, None, None, 1)
    network = traced(ready(model, example_input, fold), example_input)
    counted = Counted(ITEM_BYTES[dtype], "bare" if dtype == "int8" else "runtime")
    least, *others = Planner(network, mode, dtype, fold, counted).front()
    return [measured(network, least, planned_inputs(model, least), own, type(model).__name__), *others]


def timelines(model: nn.Module, plan: Plan) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Multiply-adds so far and live bytes, layer by layer and as planned: see `prediction.timeline`."""
    example = planned_inputs(model, plan)
    network = traced(ready(model, example, plan.fold), example)
    counted = Counted(ITEM_BYTES[plan.dtype], "bare" if plan.dtype == "int8" else "runtime")
    before, after = (program(network, steps, plan.mode) for steps in (whole_steps(network), plan.steps))
    return timeline(network, before, counted), timeline(network, after, counted)


def bytes_of(budget: int | str) -> int:
    """Bytes from a number or a text.

    Raises:
        RequestError: it is no size.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?)(i?)b?\s*", str(budget).lower())
    if not found or float(found[1]) <= 0:
        raise RequestError(f"budget {budget!r}: give bytes, as 262144, 256KiB or 1.5MiB")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " kmg".index(found[2] or " "))


def _check(dtype: str, mode: str, grid: object, fuse_to: str | None, batch: int) -> None:
    faults = []
    if dtype not in ITEM_BYTES:
        faults.append(f"dtype {dtype!r}: choose {', '.join(ITEM_BYTES)}")
    if mode not in MODES:
        faults.append(f"mode {mode!r}: choose {' or '.join(MODES)}")
    if (grid is None) != (fuse_to is None):
        faults.append("grid and fuse_to belong together: how many tiles, and the last module of the stage")
    if batch < 1:
        faults.append(f"batch {batch}: give 1 or more tiles that run together")
    if faults:
        raise RequestError("; ".join(faults))
