"""What is local is decided by what a layer does: names that lie, state, hooks; interpolation with all its options; NaN."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.measure.memory import peak_memory
from blockzoo.models.agreement import deviation, probes, random_statistics
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.runtime.runner import TiledRunner
from tests.sampled import sampled

X = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class LayerNorm2d(nn.GroupNorm):
    """Over channels, rows and columns; timm's of that name is over channels alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


class DropPath(nn.Module):
    """Not what timm calls so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean((2, 3), keepdim=True)


class FastAdaptiveAvgPool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(2)


class FrozenBatchNorm2d(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.abs().amax((2, 3), keepdim=True)


class ReLU(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.roll(x, 3, 2).relu()


class MaxPool2d(nn.MaxPool2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)


class AvgPool2d(nn.AvgPool2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Conv2d(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x.mean((2, 3), keepdim=True).sum(1, keepdim=True)


@torch.fx.wrap
def silu(x: torch.Tensor) -> torch.Tensor:
    """Known to the tracer by its name alone."""
    return x.flip(-1)


class Calls(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return silu(x)


def _hooked() -> nn.Module:
    layer = nn.Conv2d(8, 8, 3, padding=1)
    layer.register_forward_hook(lambda layer, inputs, output: output.flip(2))
    return layer


def _overridden() -> nn.Module:
    layer = nn.ReLU()
    layer.forward = lambda x: x.flip(2)  # type: ignore[method-assign, assignment]
    return layer


LIARS: dict[str, Any] = {
    "LayerNorm2d": lambda: LayerNorm2d(8),
    "DropPath": DropPath,
    "FastAdaptiveAvgPool": lambda: FastAdaptiveAvgPool(),
    "FrozenBatchNorm2d": FrozenBatchNorm2d,
    "ReLU": ReLU,
    "MaxPool2d": lambda: MaxPool2d(3, 1),
    "AvgPool2d": lambda: AvgPool2d(3, 1, 1),
    "Conv2d": lambda: Conv2d(8, 8, 3, padding=1),
    "function": Calls,
    "hook": _hooked,
    "own forward": _overridden,
    "norm of its input": lambda: nn.BatchNorm2d(8, track_running_stats=False),
    "instance norm": lambda: nn.InstanceNorm2d(8, affine=True),
    "slopes": lambda: nn.PReLU(8),
}


@pytest.mark.parametrize("name", sampled(LIARS, 6))
@torch.no_grad()
def test_a_name_proves_nothing(name: str) -> None:
    """In tiles wherever the planner may: the network's own result, or a refusal that says which layer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), LIARS[name](), nn.Conv2d(8, 4, 3, padding=1)).eval()
    wanted = model(X)
    runner = TiledRunner(model, tiling.plan(model, X, mode="exact"))
    assert deviation(wanted, runner(X)) < 1e-5
    try:
        plan = tiling.plan(model, X, grid=(2, 2), fuse_to="2", mode="exact")
    except UsageError as error:
        assert "cannot be cut" in str(error) or "read after the stage" in str(error)
    else:
        assert deviation(wanted, TiledRunner(model, plan)(X)) < 1e-5


def test_norms_of_channels_are_known() -> None:
    """The same names where they are what they say: a tile goes through."""
    from timm.layers import LayerNorm2d as OfTimm
    from torchvision.models.convnext import LayerNorm2d as OfTorchvision

    for norm in (OfTimm(8), OfTorchvision(8), torchvision.ops.FrozenBatchNorm2d(8), nn.BatchNorm2d(8)):
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm, nn.Conv2d(8, 4, 3, padding=1)).eval()
        plan = tiling.plan(model, X, grid=(2, 2), fuse_to="2", mode="exact", fold=False)
        assert plan.tiles == 4 and deviation(model(X), TiledRunner(model, plan)(X)) < 1e-5


def test_random_numbers_are_refused_by_name() -> None:
    class Drops(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x, 0.5)  # drawn in evaluation too

    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Drops(), nn.Conv2d(8, 4, 3, padding=1)).eval()
    with pytest.raises(UsageError, match="dropout draws random numbers"):
        tiling.plan(model, X, grid=(2, 2), fuse_to="2", mode="exact")


@pytest.mark.parametrize("draw", [torch.poisson, torch.rand_like, lambda rate: rate.clone().exponential_()])
def test_what_is_drawn_from_a_buffer_is_drawn_anew_in_each_call(
    draw: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.register_buffer("rate", torch.full((1, 4, 1, 1), 3.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x) * draw(self.rate)

    runner = TiledRunner(Noisy().eval(), tiling.plan(Noisy().eval(), X, mode="exact"))
    torch.manual_seed(0)
    first, second = runner(X), runner(X)
    assert deviation(first, second) > 0.01


OPTIONS: list[dict[str, Any]] = [
    {"scale_factor": 2},
    {"scale_factor": 2.5},
    {"scale_factor": 1.3},
    {"scale_factor": 1.3, "recompute_scale_factor": True},
    {"scale_factor": (0.6, 1.7)},
    {"scale_factor": 2.1, "mode": "bilinear"},  # on 16 rows 33: a ratio that is no such factor
    {"size": (32, 32), "mode": "bilinear"},
    {"size": (27, 41), "mode": "bilinear"},
    {"size": (33, 31), "mode": "bilinear", "align_corners": True},
    {"size": (32, 32), "mode": "bicubic", "align_corners": True},
    {"scale_factor": 1.7, "mode": "bicubic"},
    {"scale_factor": 2, "mode": "bicubic", "antialias": True},
    {"scale_factor": 0.4, "mode": "bilinear", "antialias": True},
    {"scale_factor": 0.4, "mode": "bilinear", "recompute_scale_factor": True},
    {"size": (29, 7), "mode": "nearest-exact"},
    {"scale_factor": 3, "mode": "nearest-exact"},
    {"size": (5, 24), "mode": "area"},
]


class Sampled(nn.Module):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
        self.options = options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.interpolate(self.first(x), **self.options))


@pytest.mark.parametrize("options", sampled(OPTIONS, 3), ids=str)
@torch.no_grad()
def test_interpolation_keeps_its_options(options: dict[str, Any]) -> None:
    """In tiles as F.interpolate on the whole map, NaN and infinities included; within the memory that was predicted."""
    torch.manual_seed(0)
    model = Sampled(options).eval()
    plan = tiling.plan(model, X, grid=(3, 2), fuse_to="last", mode="exact")
    assert plan.tiles == 6
    runner = TiledRunner(model, plan)
    for x in probes(X):
        assert deviation(model(x), runner(x)) < 1e-5
    assert peak_memory(runner, X) <= plan.peak_bytes
    tiling.plan(model, X, grid=(2, 2), fuse_to="last")  # independent tiles


@torch.no_grad()
def test_interpolation_given_by_place_and_as_the_export_shows_it() -> None:
    class ByPlace(Sampled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(F.interpolate(self.first(x), None, 2.0, "bilinear", True))

    class OnlyExport(Sampled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] < 4:
                raise ValueError("too small")
            return super().forward(x)

    models = [ByPlace({}), *(OnlyExport(options) for options in OPTIONS[4:12:2])]
    for model in models:
        plan = tiling.plan(model.eval(), X, grid=(2, 2), fuse_to="last", mode="exact")
        assert plan.tiles == 4 and deviation(model(X), TiledRunner(model, plan)(X)) < 1e-5


@torch.no_grad()
def test_interpolation_with_infinities_of_weight_nothing() -> None:
    """0 x infinity is NaN: what an output reads with weight 0 is read by the tile too."""
    model = nn.Sequential(
        nn.Identity(), nn.Upsample(size=(31, 31), mode="bilinear", align_corners=True)
    ).eval()
    x = torch.ones(1, 1, 16, 16)
    x[0, 0, 5, 6], x[0, 0, 15, 15] = float("inf"), float("-inf")
    network = traced(ready(model, x, True), x)
    from blockzoo.tiling.planning.stage import make_stage

    stage = make_stage(network, network.operations[-1].name, (), (3, 3), "exact")
    plan = tiling.plan(model, x, grid=(3, 3), fuse_to="1", mode="exact")
    assert stage.grid == (3, 3) and model(x).isnan().any()
    assert deviation(model(x), TiledRunner(model, plan)(x)) < 1e-6


@pytest.mark.parametrize(
    "kind", sampled([nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Sigmoid], [nn.Hardswish])
)
@torch.no_grad()
def test_nan_and_infinities_pass_through(kind: type[nn.Module]) -> None:
    """As in the network: from weights and from the image, through ReLUs, pools, sums and means, in tiles and whole."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), kind(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), kind(), nn.AvgPool2d(3, 1, 1)
    )  # fmt: skip
    model = random_statistics(model).eval()
    broken = copy.deepcopy(model)
    for place, value in enumerate(("nan", "inf")):
        broken[0].weight[place, 0, 0, 0] = float(value)
    for network in (model, broken):
        for options in ({}, {"grid": (2, 3), "fuse_to": "5"}):
            runner = TiledRunner(network, tiling.plan(network, X, mode="exact", **options))
            for x in probes(X):
                assert deviation(network(x), runner(x)) < 1e-5
