"""Tile by tile against the whole map: equal bit for bit on whole numbers, in both modes; and the memory it saves."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import RequestError
from blockzoo.tiling.conv import over_tiles
from blockzoo.tiling.graph import traced
from blockzoo.tiling.stage import make_stage


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


def whole_numbers(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randint(-2, 3, p.shape, generator=generator))
    return model.eval()


def layer_by_layer(model: nn.Module, x: torch.Tensor, last: str, grid: tuple[int, int]) -> torch.Tensor:
    """The blocked network on whole maps: each layer cut where the stage says, with the tiles of `geometry` alone."""
    network = traced(model, x)
    stage = make_stage(network, network.place(last), grid, "block")
    values = {network.input: x}
    for operation in stage.operations:
        node = operation.node
        if node.op == "call_module":
            layer = network.module.get_submodule(str(node.target))
            rows, columns = [r[node.name] for r in stage.rows], [c[node.name] for c in stage.columns]
            (value,) = (values[source] for source in node.all_input_nodes)
            if isinstance(layer, nn.Conv2d):
                bare = nn.Conv2d(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size,
                    layer.stride,
                    0,
                    layer.dilation,
                    layer.groups,  # type: ignore[arg-type]
                )
                bare.load_state_dict(layer.state_dict())
                values[node] = over_tiles(value, rows, columns, bare)
            elif isinstance(layer, nn.MaxPool2d):
                bare_pool = nn.MaxPool2d(layer.kernel_size, layer.stride)
                values[node] = over_tiles(value, rows, columns, bare_pool, value=-float("inf"))
            elif isinstance(layer, nn.AvgPool2d):
                bare_sum = nn.AvgPool2d(layer.kernel_size, layer.stride, divisor_override=1)
                values[node] = over_tiles(value, rows, columns, bare_sum)
            else:
                values[node] = layer(value)
        else:
            arguments = torch.fx.map_arg(node.args, lambda n: values[n])
            values[node] = node.target(*arguments, **node.kwargs)  # type: ignore[operator]
    return values[stage.operations[-1].node]


SIZES = [(32, 32), (37, 50), (19, 23)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("batch", [1, 4])
@torch.no_grad()
def test_whole_numbers_are_equal_bit_for_bit(
    size: tuple[int, int], grid: tuple[int, int], batch: int
) -> None:
    model = whole_numbers(Mixed())
    x = torch.randint(-3, 4, (2, 2, *size), generator=torch.Generator().manual_seed(1)).float()
    exact = tiling.TiledRunner(model, tiling.Plan(grid, "down", "exact", batch), x)
    assert torch.equal(exact(x), model(x))
    block = tiling.TiledRunner(model, tiling.Plan(grid, "down", "block", batch), x)
    want = layer_by_layer(model, x, "down", grid)
    assert torch.equal(block.run_stage(x), want)
    if grid == (1, 1):
        assert torch.equal(block(x), model(x))
    elif min(size) > 30:
        assert not torch.equal(block.run_stage(x), exact.run_stage(x))


@pytest.mark.parametrize("mode", ["block", "exact"])
@torch.no_grad()
def test_resnet_tile_by_tile(mode: str) -> None:
    torch.manual_seed(0)
    model, x = torchvision.models.resnet18().eval(), torch.randn(1, 3, 160, 160)
    runner = tiling.TiledRunner(model, tiling.Plan((2, 2), "layer2", mode), x)  # type: ignore[arg-type]
    if mode == "exact":
        torch.testing.assert_close(runner(x), model(x), rtol=1e-4, atol=1e-5)
    whole = tiling.TiledRunner(model, tiling.Plan((1, 1), "layer2", mode), x)  # type: ignore[arg-type]
    torch.testing.assert_close(whole(x), model(x), rtol=1e-4, atol=1e-5)
    saved = tiling.peak_memory(runner.run_stage, x) / tiling.peak_memory(whole.run_stage, x)
    assert saved < (0.45 if mode == "block" else 0.7)


@torch.no_grad()
def test_averages_with_and_without_padding() -> None:
    for pool in (
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    ):
        model, x = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), pool).eval(), torch.randn(1, 2, 22, 17)
        runner = tiling.TiledRunner(model, tiling.Plan((3, 2), "1", "exact"), x)
        torch.testing.assert_close(runner(x), model(x), rtol=1e-5, atol=1e-6)


def test_plans_that_a_network_does_not_admit() -> None:
    model, x = Mixed().eval(), torch.randn(1, 2, 32, 32)
    for plan, says in (
        (tiling.Plan((2, 2), "head"), "head.0 cannot be cut"),
        (tiling.Plan((0, 2), "down"), "1 or more tiles"),
        (tiling.Plan((2, 2), "tail"), "no operation"),
        (tiling.Plan((2, 2), "left"), "needed after the stage"),
        (tiling.Plan((2, 2), "down", "both"), "block or exact"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RequestError, match=says):
            tiling.TiledRunner(model, plan, x)
    runner = tiling.TiledRunner(model, tiling.Plan((2, 2), "down"), x)
    with pytest.raises(RequestError, match="was made for inputs"):
        runner(torch.randn(1, 2, 40, 40))

    class Dynamic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(RequestError, match="cannot be traced"):
        tiling.TiledRunner(Dynamic(), tiling.Plan((2, 2), "x"), x)
