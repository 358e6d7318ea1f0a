"""Tile by tile against the whole map: equal bit for bit on whole numbers, in both modes; and the memory it saves."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.layers.conv import over_tiles
from blockzoo.tiling.planning.stage import make_stage
from blockzoo.tiling.runtime.runner import TiledRunner
from tests.sampled import sampled


class Mixed(nn.Module):
    """Strides, pools of all kinds, a residual sum and a concatenation; then what is not local."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 5, 2, 2), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.left, self.right = nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 2, dilation=2)
        self.sum = nn.AvgPool2d(3, 1, 1, divisor_override=1)
        self.down = nn.Conv2d(8, 4, 3, 2, 1, groups=2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x))
        y = torch.relu(self.left(x)) + x
        return self.head(self.down(torch.cat([self.sum(y), self.right(y)], dim=1)))


class Gated(nn.Module):
    """A gate from the mean of the map (whole numbers only), upsampling, channels in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1)
        self.gate, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x), inplace=True)
        x = x * torch.round(self.gate(x.mean((2, 3), keepdim=True)))
        x = F.interpolate(self.down(x), scale_factor=2, mode="nearest")
        first, second = x.chunk(2, dim=1)
        return self.last(torch.cat([second, first], 1))


def whole_numbers(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randint(-2, 3, p.shape, generator=generator))
    return model.eval()


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(1)).float()


def layer_by_layer(model: nn.Module, x: torch.Tensor, last: str, grid: tuple[int, int]) -> torch.Tensor:
    """The blocked network on whole maps: each layer cut where the stage says, with the tiles of `geometry` alone."""
    network = traced(ready(model, x, True), x)
    stage = make_stage(network, network.operations[network.last_of(last)].name, (), grid, "block")
    values = {network.input: x}
    for operation in stage.operations:
        layer = operation.payload.layer
        if operation.kind != "window":
            values[operation.name] = operation.payload.run(values.__getitem__)
            continue
        rows = [tile for line in stage.rows for tile in line[operation.name]]
        columns = [tile for line in stage.columns for tile in line[operation.name]]
        if isinstance(layer, nn.Conv2d):
            inside, outside, *options = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride
            bare: nn.Module = nn.Conv2d(inside, outside, *options, 0, layer.dilation, layer.groups)  # type: ignore[arg-type]
            bare.load_state_dict(layer.state_dict())
        elif isinstance(layer, nn.MaxPool2d):
            bare = nn.MaxPool2d(layer.kernel_size, layer.stride)
        else:
            assert isinstance(layer, nn.AvgPool2d)
            bare = nn.AvgPool2d(layer.kernel_size, layer.stride, divisor_override=1)
        edge = -float("inf") if isinstance(layer, nn.MaxPool2d) else 0.0
        values[operation.name] = over_tiles(values[operation.maps[0]], rows, columns, bare, value=edge)
    return values[stage.output.name]


@pytest.mark.parametrize("size", sampled([(32, 32), (37, 50), (19, 23)], [(19, 23)]))
@pytest.mark.parametrize("grid", sampled([(1, 1), (2, 2), (3, 1), (2, 3)], [(2, 3)]))
@pytest.mark.parametrize("batch", sampled([1, 4], [4]))
@torch.no_grad()
def test_whole_numbers_are_equal_bit_for_bit(
    size: tuple[int, int], grid: tuple[int, int], batch: int
) -> None:
    model, x = whole_numbers(Mixed()), pixels(2, 2, *size)
    exact = TiledRunner(model, tiling.plan(model, x, grid=grid, fuse_to="down", mode="exact", batch=batch))
    assert torch.equal(exact(x), model(x))
    block = TiledRunner(model, tiling.plan(model, x, grid=grid, fuse_to="down", batch=batch))
    assert torch.equal(block.run_stage(x), layer_by_layer(model, x, "down", grid))
    if grid == (1, 1):
        assert torch.equal(block(x), model(x))
    elif min(size) > 30:
        assert not torch.equal(block.run_stage(x), exact.run_stage(x))


@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_global_means_take_two_passes(batch: int) -> None:
    model, x = whole_numbers(Gated()), pixels(2, 2, 32, 32)
    plan = tiling.plan(model, x, grid=(2, 3), fuse_to="last", mode="exact", batch=batch)
    assert [step.kind for step in plan.steps] == ["pooled", "whole", "tiled"]
    assert plan.macs > plan.layer_by_layer.macs
    assert torch.equal(TiledRunner(model, plan)(x), model(x))


@pytest.mark.parametrize(
    "blocking, block",
    sampled(
        [("hierarchical", 2), ("hierarchical", 4), ("fixed", 8), ("fixed", 5)], [("fixed", 5)], unpacked=True
    ),
)
@pytest.mark.parametrize("padding", sampled(["constant", "replicate", "reflect"], 0))
@torch.no_grad()
def test_a_converted_network_keeps_its_own_tiles(blocking: str, block: int, padding: str) -> None:
    model, x = whole_numbers(Mixed()), pixels(1, 2, 64, 56)
    converted, report = tiling.block_convert(model, x, block, blocking, padding)  # type: ignore[arg-type]
    assert report.ratio > 0.4
    for mode in ("block", "exact"):
        plan = tiling.plan(converted, x, grid=(2, 2), fuse_to="down", mode=mode)  # type: ignore[arg-type]
        assert torch.equal(TiledRunner(converted, plan)(x), converted(x))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["block", "exact"])
@torch.no_grad()
def test_resnet_tile_by_tile(mode: str) -> None:
    torch.manual_seed(0)
    model, x = torchvision.models.resnet18().eval(), torch.randn(1, 3, 160, 160)
    plan = tiling.plan(model, x, grid=(2, 2), fuse_to="layer2", mode=mode)  # type: ignore[arg-type]
    runner = TiledRunner(model, plan)
    if mode == "exact":
        torch.testing.assert_close(runner(x), model(x), rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(
            runner.run_stage(x), layer_by_layer(model, x, "layer2", (2, 2)), rtol=1e-5, atol=1e-5
        )
    assert tiling.peak_memory(runner, x) < (0.4 if mode == "block" else 0.75) * plan.layer_by_layer.peak_bytes


@torch.no_grad()
def test_averages_with_and_without_padding() -> None:
    for pool in (
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    ):
        model, x = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), pool).eval(), torch.randn(1, 2, 22, 17)
        runner = TiledRunner(model, tiling.plan(model, x, grid=(3, 2), fuse_to="1", mode="exact"))
        torch.testing.assert_close(runner(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@torch.no_grad()
def test_upsampling(mode: str) -> None:
    up = nn.Upsample(scale_factor=2, mode=mode)
    model, x = (
        nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1), up, nn.Conv2d(3, 2, 3, 1, 1)).eval(),
        torch.randn(1, 2, 24, 20),
    )
    runner = TiledRunner(model, tiling.plan(model, x, grid=(2, 2), fuse_to="2", mode="exact"))
    torch.testing.assert_close(runner(x), model(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_what_is_written_over_is_read_as_such_later_and_inputs_never_are() -> None:
    class Quirk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.second = (
                nn.Conv2d(2, 2, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(2, 2, 3, padding=1),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return self.second(self.relu(y)) + y  # y has been rectified

    model, x = whole_numbers(Quirk()), pixels(1, 2, 16, 16)
    kept = x.clone()
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact"))
    assert torch.equal(runner(x), model(x)) and torch.equal(x, kept)

    rectified = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3, padding=1)).eval()
    runner = TiledRunner(rectified, tiling.plan(rectified, x, grid=(2, 2), fuse_to="2", mode="exact"))
    runner(x)
    assert torch.equal(x, kept)


@torch.no_grad()
def test_a_network_that_only_export_can_trace() -> None:
    class Checked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), nn.ReLU6(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] < 4:
                raise ValueError("too small")
            return self.net(x).mean((2, 3))

    model, x = whole_numbers(Checked()), pixels(1, 2, 24, 24)
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact", budget="8KiB"))
    assert runner.plan.tiles > 1
    assert torch.equal(runner(x), model(x))


@torch.no_grad()
def test_a_runner_moves_and_loads_as_any_module_does() -> None:
    """Weights that were laid out for convolutions follow."""
    one, other, x = (
        whole_numbers(Mixed(), 0),
        whole_numbers(Mixed(), 1),
        pixels(1, 2, 32, 32),
    )
    runner = TiledRunner(one, tiling.plan(one, x, grid=(2, 2), fuse_to="down", mode="exact"))
    assert not torch.equal(one(x), other(x)) and torch.equal(runner(x), one(x))
    runner.load_state_dict(TiledRunner(other, runner.plan).state_dict())
    assert torch.equal(runner(x), other(x))
    got = runner.double()(x.double())
    assert got.dtype == torch.float64 and torch.equal(got, other.double()(x.double()))


def _optimised(layer: nn.Conv2d) -> None:
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    with torch.enable_grad():
        layer.weight.pow(2).sum().backward()
    optimiser.step()


def _replaced(layer: nn.Conv2d) -> None:
    layer.weight = nn.Parameter(layer.weight * 3)


def _through_data(layer: nn.Conv2d) -> None:
    layer.weight.data = layer.weight * 2


@pytest.mark.parametrize(
    "change", [lambda layer: layer.weight.mul_(1.5), _optimised, _replaced, _through_data]
)
@torch.no_grad()
def test_weights_that_change_later_count(change: Callable[[nn.Conv2d], None]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()
    x = torch.randn(1, 3, 20, 16)
    runner = TiledRunner(model, tiling.plan(model, x, grid=(2, 2), fuse_to="2", mode="exact"))
    before = runner(x)
    assert runner.network is (runner(x), runner.network)[1], "nothing is made anew without a change"
    for network in (model, runner._model):
        change(network[0])
    assert not torch.allclose(before, model(x), rtol=1e-2)
    assert torch.allclose(runner(x), model(x), atol=1e-5)


@torch.no_grad()
def test_a_runner_is_kept_in_a_file_and_copied() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()
    x = torch.randn(1, 3, 20, 16)
    runner = TiledRunner(model, tiling.plan(model, x, grid=(2, 2), fuse_to="2", mode="exact"))
    written = io.BytesIO()
    torch.save(runner, written)
    written.seek(0)
    for other in (torch.load(written, weights_only=False), copy.deepcopy(runner)):
        assert torch.equal(other(x), runner(x)) and other.plan == runner.plan
        other._model[0].weight.mul_(2)
        assert not torch.equal(other(x), runner(x)), "nothing is shared"


@torch.no_grad()
def test_weights_of_the_network_are_loaded_or_refused_in_words() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 20, 16)
    for norm in (nn.Identity(), nn.BatchNorm2d(8)):
        one, other = (
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm, nn.Conv2d(8, 4, 3)).eval() for _ in range(2)
        )
        runner = TiledRunner(one, tiling.plan(one, x, mode="exact"))
        if isinstance(norm, nn.BatchNorm2d):
            with pytest.raises(UsageError, match="load them into the network and make a runner of it"):
                runner.load_state_dict(other.state_dict())
        else:
            runner.load_state_dict(other.state_dict())
            assert torch.allclose(runner(x), other(x), atol=1e-5)


def test_plans_that_a_network_does_not_admit() -> None:
    model, x = Mixed().eval(), torch.randn(1, 2, 32, 32)
    for options, says in (
        ({"grid": (0, 2), "fuse_to": "down"}, "1 or more tiles"),
        ({"grid": (2, 2), "fuse_to": "tail"}, "no operation"),
        ({"grid": (2, 2), "fuse_to": "left"}, "read after the stage"),
        ({"grid": (2, 2), "fuse_to": "down", "mode": "both"}, "block or exact"),
        ({"grid": (2, 2)}, "belong together"),
        ({"dtype": "int4"}, "choose int8"),
        ({"budget": "many"}, "256KiB"),
        ({"budget": 10}, "no plan needs 10 bytes or less; the least is"),
        ({"batch": 0}, "1 or more"),
    ):
        with pytest.raises(UsageError, match=says):
            tiling.plan(model, x, **options)  # type: ignore[arg-type]
    runner = TiledRunner(model, tiling.plan(model, x, grid=(2, 2), fuse_to="down"))
    with pytest.raises(UsageError, match="make one for this size"):
        runner(torch.randn(1, 2, 40, 40))
    with pytest.raises(UsageError, match="N, C, H, W"):
        tiling.plan(model, x[0])
    with pytest.raises(UsageError, match="does not run on an input of shape"):
        tiling.plan(model, torch.randn(1, 3, 32, 32))

    class Dynamic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match="cannot be traced"):
        tiling.plan(Dynamic(), x)


@torch.no_grad()
def test_maps_of_one_pixel() -> None:
    model, x = (
        whole_numbers(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1))),
        pixels(1, 2, 1, 1),
    )
    runner = TiledRunner(model, tiling.plan(model, x, grid=(4, 4), fuse_to="2"))
    assert torch.equal(runner(x), model(x))
