"""Networks of several outputs and inputs, run, planned and exported; detectors with a pyramid of features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.models.agreement import deviation, random_statistics
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.runtime.runner import TiledRunner
from tests.sampled import sampled


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclasses.dataclass
class Detections:
    maps: list[torch.Tensor]
    name: str = "found"


class Ways(nn.Module):
    """Two convolutions, and what is returned of them."""

    def __init__(self, way: Callable[..., Any]) -> None:
        super().__init__()
        self.a, self.b, self.way = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1), way
        self.register_buffer("grid", torch.rand(1, 2, 16, 16))

    def forward(self, x: torch.Tensor, *others: torch.Tensor, scale: float = 2.0) -> Any:
        y = self.a(x) * scale
        return self.way(self, x, y, self.b(y), *others)


WAYS: dict[str, Callable[..., Any]] = {
    "tuple": lambda m, x, y, z: (y, z),
    "list of one": lambda m, x, y, z: [z],
    "dict": lambda m, x, y, z: {"second": z, "first": y},
    "named tuple": lambda m, x, y, z: Pair(y, z),
    "dataclass": lambda m, x, y, z: Detections([y, z]),
    "nested": lambda m, x, y, z: {"all": [y, (z, {"mean": z.mean()})], "none": None, "number": 3},
    "the input": lambda m, x, y, z: (x, z, x),
    "one twice": lambda m, x, y, z: (z, z),
    "a view": lambda m, x, y, z: (y[:, :2], y.flatten(1), z),
    "a buffer": lambda m, x, y, z: (m.grid, z + m.grid),
    "read later": lambda m, x, y, z: (y, F.relu(y) + 1, y.add(1).mul(y)),
    "written later": lambda m, x, y, z: (y, z, y.mul_(2)[:, 0]),
    "pieces": lambda m, x, y, z: torch.cat([x, y], 1).split([3, 2, 2], 1),
    "mean over channels": lambda m, x, y, z: (y.mean(1), y.mean(1, keepdim=True) * z, y.amax(1)),
    "a constant joined": lambda m, x, y, z: torch.cat([z, m.grid, torch.ones_like(y)], 1),
    "means of the image": lambda m, x, y, z: (y, x.mean((2, 3), keepdim=True)),
    "one channel": lambda m, x, y, z: F.relu(y[:, 0]).unsqueeze(1),
}


@pytest.mark.parametrize("what", sampled(WAYS, 6))
@pytest.mark.parametrize("options", [{}, {"grid": (3, 2), "fuse_to": "a"}], ids=["planned", "in tiles"])
@torch.no_grad()
def test_a_runner_returns_what_the_network_returns(what: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, x = Ways(WAYS[what]).eval(), torch.randn(1, 3, 16, 16)
    try:
        plan = tiling.plan(model, x, mode="exact", **options)
    except UsageError as error:
        assert options and "is read after the stage too" in str(error)
        return
    runner = TiledRunner(model, plan)
    wanted, kept = model(x.clone()), x.clone()
    got = runner(x)
    assert type(got) is type(wanted) and deviation(wanted, got) < 1e-6 and torch.equal(x, kept)
    assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)


@torch.no_grad()
def test_several_inputs_and_other_numbers_of_images() -> None:
    """A second map is cut as the image is, a vector is not; views with the number of images in them fit each number."""

    def joined(m: Any, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, more: Any, vector: Any) -> Any:
        y = torch.cat([y, more], 1) * vector.view(x.shape[0], -1, 1, 1)
        return F.conv2d(y, m.a.weight[:, :1].repeat(1, y.shape[1], 1, 1), padding=1), y.view(x.shape[0], -1)

    torch.manual_seed(0)
    model = Ways(joined).eval()
    given = [torch.randn(2, 3, 16, 16), torch.randn(2, 2, 16, 16), torch.randn(2, 6)]
    plan = tiling.plan(model, given, mode="exact")
    runner = TiledRunner(model, plan)
    for count in (2, 1, 5):
        inputs = [
            x[:1].expand(count, *x.shape[1:]).contiguous() * torch.rand(count, *x.shape[1:]) for x in given
        ]
        assert deviation(model(*inputs), runner(*inputs)) < 1e-6, count
    with pytest.raises(UsageError, match="make one for this size"):
        runner(given[0])


class Detector(nn.Module):
    """Four levels, a pyramid of features on them, what is found on each."""

    def __init__(self, widths: tuple[int, ...] = (8, 16, 24, 32), width: int = 8) -> None:
        super().__init__()

        def level(a: int, b: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True), nn.Conv2d(b, b, 3, 1, 1)
            )  # fmt: skip

        self.levels = nn.ModuleList(level(a, b) for a, b in zip((3, *widths), widths, strict=False))
        self.lateral = nn.ModuleList(nn.Conv2d(own, width, 1) for own in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in widths)
        self.head = nn.Conv2d(width, 6, 3, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        maps: list[torch.Tensor] = []
        for level in self.levels:
            maps.append(level(maps[-1] if maps else x))
        y, pyramid = None, []
        for own, lateral, smooth in list(zip(maps, self.lateral, self.smooth, strict=True))[::-1]:
            side = lateral(own)
            y = side if y is None else side + F.interpolate(y, scale_factor=2.0, mode="nearest")
            pyramid.append(self.head(F.relu(smooth(y))))
        return {"found": pyramid[::-1], "deepest": maps[-1]}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["block", "exact"])
@torch.no_grad()
def test_a_detector_is_planned_and_run(mode: Any) -> None:
    model, x = random_statistics(Detector()).eval(), torch.randn(1, 3, 64, 64)
    plans, wanted = tiling.pareto(model, x, mode=mode), model(x)
    most = {"block": 0.8, "exact": 0.95}[
        mode
    ]  # the first layer reads a copy of the image, larger than any map
    assert plans[0].peak_bytes < most * plans[0].layer_by_layer.peak_bytes
    for plan in plans[:: max(1, len(plans) // 4)]:
        runner = TiledRunner(model, plan)
        assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)
        got = runner(x)
        assert [*got] == ["found", "deepest"] and len(got["found"]) == len(wanted["found"]) == 4
        if mode == "exact":
            assert deviation(wanted, got) < 1e-5


@pytest.mark.slow
def test_a_detector_is_exported_with_all_its_outputs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    model, x = random_statistics(Detector()).eval(), torch.randn(1, 3, 64, 64)
    path = tmp_path / "detector.onnx"
    report: Any = tiling.export_onnx(model, x, path)
    assert report.checked < 1e-4 and len(onnx.load(str(path)).graph.output) == 5
    fused: Any = tiling.export_onnx(
        model, x, tmp_path / "fused.onnx", fusing=tiling.Fusing((4, 2), "levels.0.3", mode="exact")
    )
    assert fused.checked < 1e-4 and fused.tiles == 8 and fused.peak_bytes == fused.planned_bytes


@pytest.mark.parametrize("name", sampled(["features", "pyramid", "segmentation"], 0))
@torch.no_grad()
def test_backbones_and_segmentation(name: str) -> None:
    makers: dict[str, Callable[[], nn.Module]] = {
        "features": lambda: timm.create_model("mobilenetv3_small_050", features_only=True),
        "pyramid": lambda: torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
            backbone_name="resnet18", weights=None
        ),
        "segmentation": lambda: torchvision.models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=2
        ),
    }
    model, x = random_statistics(makers[name]()).eval(), torch.randn(1, 3, 32, 32)
    plan = tiling.plan(model, x, mode="exact")
    got, wanted = TiledRunner(model, plan)(x), model(x)
    assert type(got) is type(wanted) and deviation(wanted, got) < 1e-5


@pytest.mark.parametrize("name", sampled(["fasternet_t0", "rexnet_100"], 0))
@torch.no_grad()
def test_networks_of_partial_maps_need_what_is_planned(name: str) -> None:
    model, x = random_statistics(timm.create_model(name)).eval(), torch.randn(1, 3, 32, 32)
    plan = tiling.plan(model, x, mode="exact")
    runner = TiledRunner(model, plan)
    assert deviation(model(x), runner(x)) < 1e-5
    assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)


def test_what_is_written_over_is_no_view_of_another_operand() -> None:
    """x + x.transpose(2, 3) in place of x would read what it has written."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            return F.relu(y + y.transpose(2, 3))

    model, x = Turned().eval(), torch.randn(1, 3, 12, 12)
    (operation,) = (o for o in traced(ready(model, x, True), x).operations if o.payload.what == "add")
    assert operation.over  # it could, by its shapes
    with torch.no_grad():
        assert deviation(model(x), TiledRunner(model, tiling.plan(model, x, mode="exact"))(x)) < 1e-6
