"""Plans for an ONNX file: those that `tile export` writes, counted as ONNX Runtime runs them, without writing a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.core.checked import sorted_into, together
from blockzoo.core.errors import UsageError
from blockzoo.tiling.graph.trace import Example, inputs_of
from blockzoo.tiling.onnx.export import onnx_layers
from blockzoo.tiling.onnx.fuse import Fusing, Layers
from blockzoo.tiling.onnx.quantise import Calibration, quantised
from blockzoo.tiling.planning.options import Cutting
from blockzoo.tiling.planning.plan import Plan
from blockzoo.tiling.planning.planner import bytes_of
from blockzoo.tiling.planning.search import MOST_MACS

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.tiling.planning.keywords import CuttingKeywords


def plan_onnx(
    model: nn.Module,
    example: Example,
    *,
    dtype: str = "fp32",
    **cutting: Unpack[CuttingKeywords],
) -> Plan:
    """The plan that an export with the same options writes; with neither budget nor grid, as `plan` chooses.

    Args, raises: see `plan`; dtype is fp32 or int8.
    """
    layers, (settings,) = _layers(model, example, dtype), sorted_into(cutting, Cutting, what="plan_onnx")
    if settings.budget is not None or settings.fuse_to is not None:
        return layers.planned(Fusing(**together(settings)))
    plans = layers.front(settings.mode)
    return next(plan for plan in plans if plan.macs <= MOST_MACS * plan.layer_by_layer.macs)


def pareto_onnx(
    model: nn.Module, example: Example, *, dtype: str = "fp32", **cutting: Unpack[CuttingKeywords]
) -> list[Plan]:
    """The plans that are Pareto-optimal in peak bytes, multiply-adds and tiles, as files; see `pareto`."""
    (settings,) = sorted_into(cutting, Cutting, what="pareto_onnx")
    if settings.grid is not None:
        raise UsageError("grid and fuse_to are of one plan, not of a front: leave them out")
    layers = _layers(model, example, dtype)
    limit = math.inf if settings.budget is None else bytes_of(settings.budget)
    within = [plan for plan in layers.front(settings.mode) if plan.peak_bytes <= limit]
    return within or [layers.planned(Fusing(**together(settings)))]


def _layers(model: nn.Module, example: Example, dtype: str) -> Layers:
    if dtype not in ("fp32", "int8"):
        raise UsageError(f"dtype {dtype!r}: files are fp32 or int8")
    first, *others = inputs_of(example)
    drawn = torch.randn(first.shape, generator=torch.Generator().manual_seed(0))
    layers = onnx_layers(model, [drawn, *others])
    return quantised(layers, Calibration(drawn.numpy())) if dtype == "int8" else layers
