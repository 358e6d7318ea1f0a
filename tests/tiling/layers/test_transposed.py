"""Transposed convolutions in tiles: bit for bit on whole numbers, in every geometry; decoders planned, run and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.planning.plan import tiled_steps, whole_steps
from blockzoo.tiling.planning.search import Planner
from blockzoo.tiling.planning.tile_memory import Counted
from blockzoo.tiling.runtime.runner import TiledRunner
from tests.sampled import sampled

LAYERS: list[dict[str, Any]] = [
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel_size": 4, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 2, "output_padding": 1, "dilation": 2},
    {"kernel_size": (1, 5), "stride": (1, 3), "padding": (0, 2), "output_padding": (0, 2), "groups": 2},
    {"kernel_size": 2, "stride": 3, "output_padding": 2, "bias": False},
    {"kernel_size": 1, "stride": 3, "output_padding": 1},
    {"kernel_size": 5, "stride": 4, "padding": 2, "output_padding": 3},
    {"kernel_size": 3, "stride": 1, "padding": 2},
    {"kernel_size": 2, "stride": 1, "dilation": 3, "padding": 1, "output_padding": 2, "groups": 4},
]


def whole_numbers(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape).float()
    return model.eval()


def chain(options: dict[str, Any]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 8, **options), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)
    )  # fmt: skip


def runner_of(model: nn.Module, x: torch.Tensor, mode: Any, grid: tuple[int, int], batch: int) -> TiledRunner:
    network = traced(ready(model, x, True), x)
    planner = Planner(network, mode, "fp32", True, Counted())
    return TiledRunner(
        model, planner.made(tiled_steps(network, -1, len(network.operations) - 1, grid, batch))
    )


@pytest.mark.parametrize("options", sampled(LAYERS, 2), ids=str)
@pytest.mark.parametrize("batch", sampled([1, 4], [4]))
@torch.no_grad()
def test_a_transposed_convolution_in_tiles_is_the_whole_one(options: dict[str, Any], batch: int) -> None:
    torch.manual_seed(0)
    model, x = whole_numbers(chain(options)), torch.randint(-4, 5, (2, 3, 11, 13)).float()
    for grid in ((1, 1), (2, 3), (5, 4), (11, 7)):
        runner = runner_of(model, x, "exact", grid, batch)
        assert torch.equal(runner(x), model(x)), grid
        assert tiling.peak_memory(runner, x) == pytest.approx(runner.plan.peak_bytes, rel=0.01)
    assert torch.equal(TiledRunner(model, tiling.plan(model, x, mode="exact"))(x), model(x))


@pytest.mark.parametrize("options", LAYERS, ids=str)
@torch.no_grad()
def test_independent_tiles_are_those_of_each_part_alone(options: dict[str, Any]) -> None:
    """One layer alone: a tile's outputs are what its own pixels add up to, with zeros around them."""
    torch.manual_seed(0)
    layer, x = (
        whole_numbers(nn.Sequential(nn.ConvTranspose2d(4, 4, **options))),
        torch.randint(-4, 5, (1, 4, 8, 8)).float(),
    )
    runner = runner_of(layer, x, "block", (2, 2), 1)
    (stage,) = [part.stage for part in runner.parts]
    assert stage is not None
    wanted = torch.empty_like(layer(x))
    for row in stage.rows:
        for column in stage.columns:
            (r,), (c,) = row[stage.output.name], column[stage.output.name]
            alone = torch.zeros_like(x)
            alone[..., r.start : r.stop, c.start : c.stop] = x[..., r.start : r.stop, c.start : c.stop]
            wanted[..., r.first : r.last, c.first : c.last] = layer(alone)[
                ..., r.first : r.last, c.first : c.last
            ]
    assert torch.equal(runner(x), wanted)


class UNet(nn.Module):
    """Two levels, each with a skip, norms and transposed convolutions."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()

        def two(a: int, b: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True), nn.Conv2d(b, b, 3, padding=1), nn.ReLU()
            )  # fmt: skip

        self.first, self.second, self.bottom = two(3, 8), two(8, 16), two(16, 24)
        self.pool = nn.MaxPool2d(2)
        self.up_second = nn.ConvTranspose2d(24, 16, 2, 2)
        self.up_first = nn.ConvTranspose2d(16, 8, 3, 2, 1, 1)
        self.back_second, self.back_first = two(32, 16), two(16, 8)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.first(x)
        b = self.second(self.pool(a))
        y = self.up_second(self.bottom(self.pool(b)))
        y = self.back_second(torch.cat([y, b], 1))
        y = self.back_first(torch.cat([self.up_first(y), a], 1))
        return self.head(y)


def unet() -> nn.Module:
    torch.manual_seed(0)
    model = UNet()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()  # type: ignore[union-attr]
            layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["block", "exact"])
@torch.no_grad()
def test_a_unet_is_planned_and_run(mode: Any) -> None:
    model, x = unet(), torch.randn(1, 3, 64, 64)
    plans = tiling.pareto(model, x, mode=mode)
    assert plans[0].peak_bytes < 0.5 * plans[0].layer_by_layer.peak_bytes
    for plan in plans[:: max(1, len(plans) // 5)]:
        runner = TiledRunner(model, plan)
        assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)
        if mode == "exact":
            assert (runner(x) - model(x)).abs().max() < 1e-5 * model(x).abs().max()


@torch.no_grad()
def test_a_unet_on_whole_numbers_bit_for_bit() -> None:
    torch.manual_seed(1)
    model = whole_numbers(UNet())
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):  # whose root is no whole number
            model.set_submodule(name, nn.Identity())
    for parameter in model.parameters():
        parameter.data.clamp_(-1, 1)
    x = torch.randint(-1, 2, (1, 3, 32, 32)).float()
    network = traced(ready(model.double(), x.double(), False), x.double())
    planner = Planner(network, "exact", "fp64", False, Counted(8))
    last = len(network.operations) - 1
    plan = planner.made([*tiled_steps(network, -1, last, (3, 2)), *whole_steps(network, last)])
    assert torch.equal(TiledRunner(model, plan)(x.double()), model(x.double()))


@pytest.mark.parametrize("mode", sampled(["block", "exact"], 0))
def test_a_unet_is_exported_within_its_budget(mode: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from blockzoo.tiling.onnx.export import export_onnx
    from blockzoo.tiling.onnx.fuse import Fusing

    model, x = unet(), torch.randn(1, 3, 64, 64)
    report: Any = export_onnx(model, x, tmp_path / "x.onnx", fusing=Fusing(budget="192KiB", mode=mode))
    assert report.checked < 1e-4 and report.tiles > 0
    assert report.peak_bytes == report.planned_bytes <= 192 * 1024 < report.layer_by_layer_bytes


@pytest.mark.parametrize("options", sampled(LAYERS, 1), ids=str)
def test_transposed_convolutions_in_files(options: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from blockzoo.tiling.onnx.export import export_onnx
    from blockzoo.tiling.onnx.fuse import Fusing

    torch.manual_seed(0)
    model, x = chain(options).eval(), torch.randn(1, 3, 11, 13)
    for mode in ("exact", "block"):
        path = tmp_path / f"{mode}.onnx"
        try:
            report: Any = export_onnx(model, x, path, fusing=Fusing((3, 2), "4", mode=mode))  # type: ignore[arg-type]
        except UsageError as error:
            assert "output_padding (2) may be too large" in str(error), (
                "what ONNX Runtime cannot run is named"
            )
            continue
        assert report.checked < 1e-4 and report.tiles == 6


def test_block_convolutions_name_the_layer_that_stays_whole() -> None:
    _, report = tiling.block_convert(unet(), torch.randn(1, 3, 64, 64), 16)
    kept = {layer.name: layer.reason for layer in report.layers if not layer.blocked}
    assert "transposed" in kept["up_first"] and "transposed" in kept["up_second"]
