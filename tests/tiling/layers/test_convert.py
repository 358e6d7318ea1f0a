"""Networks of others, converted: same keys and weights, the same result with one tile, and tiles that do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from blockzoo.tiling.layers import pool as pool_layers
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d
from tests.sampled import sampled

SUBJECTS = [
    "torchvision:resnet18",
    "torchvision:densenet121",
    "torchvision:googlenet",
    "torchvision:squeezenet1_1",
    "timm:tf_efficientnet_b0",
    "timm:mobilenetv3_small_050",
    "timm:resnetv2_50",
    "timm:regnetx_002",
    "InvertedResidual/mid",
    "macro:1234",
    "model:resnet18",
]


def network(subject: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkSpec(subject), seed=0).eval()


@pytest.mark.parametrize("subject", sampled(SUBJECTS, 5))
def test_any_network_keeps_its_keys_its_result_and_its_gradients(subject: str) -> None:
    model, x = network(subject), torch.randn(1, 3, 64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    whole, report = tiling.block_convert(model, x, 0)
    torch.testing.assert_close(whole(x), model(x), rtol=1e-4, atol=1e-5)
    converted, report = tiling.block_convert(model, x, 8)
    assert converted.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in converted.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    output = converted(x)
    assert output.shape == model(x).shape
    if "googlenet" not in subject:  # whose first weights are so small that its output is its last bias
        assert not torch.equal(output, model(x))
    output.sum().backward()
    assert (
        all(p.grad is not None for p in converted.parameters() if p.requires_grad) or "googlenet" in subject
    )
    assert report.ratio == 1.0, str(report)
    assert all(layer.blocked or layer.reason for layer in report.layers)


def pools() -> list[nn.Module]:
    return [
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.AvgPool2d(3, 1, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d((2, 3), 2, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(3, 2, divisor_override=5),
    ]


@pytest.mark.parametrize("number", range(len(pools())))
@pytest.mark.parametrize("size", [(12, 12), (13, 10), (7, 16)])
def test_pools_with_one_tile_are_ordinary_and_with_more_are_those_of_tiles(
    number: int, size: tuple[int, int]
) -> None:
    pool: Any = pools()[number]
    kind = BlockMaxPool2d if isinstance(pool, nn.MaxPool2d) else BlockAvgPool2d
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(kind(pool, 0)(x), pool(x))
    torch.testing.assert_close(kind(pool, 0)(x[0]), pool(x[0]))
    cut = kind(pool, 4)
    assert cut(x).shape == pool(x).shape
    other = x.clone()
    other[..., 4:, :] += 100
    rows = pool_layers.axes_of(cut, x, (4, 4), "fixed")[0][0].last
    assert torch.equal(cut(x)[..., :rows, :], cut(other)[..., :rows, :]), (
        "the first tile sees its own pixels only"
    )


def test_max_pools_at_cuts_see_nothing_less_than_their_pixels() -> None:
    x = -torch.rand(1, 1, 8, 8) - 5
    assert BlockMaxPool2d(nn.MaxPool2d(3, 1, 1), 4)(x).max() < -4


def test_the_largest_maps_first() -> None:
    x = torch.randn(1, 3, 64, 64)
    model = network("torchvision:resnet18")
    half, report = tiling.block_convert(model, x, 8, ratio=0.5)
    spatial = [layer for layer in report.layers if "Conv" in layer.kind and layer.kernel != (1, 1)]
    blocked = [layer.size for layer in spatial if layer.blocked]
    assert len(blocked) == round(0.5 * len(spatial)) and report.ratio == pytest.approx(0.5, abs=0.03)
    assert min(blocked) >= max(layer.size for layer in spatial if not layer.blocked)  # type: ignore[type-var]
    assert "ratio asked for" in str(report) and half(x).shape == (1, 10)


class Loose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unused = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(self.conv(x), 2)


def test_nothing_falls_back_in_silence() -> None:
    _, report = tiling.block_convert(Loose(), torch.randn(1, 3, 16, 16), 4)
    why = {layer.name: layer.reason for layer in report.layers}
    assert why == {
        "conv": "",
        "unused": "not called by the example",
        "F.max_pool2d": "called as a function, not as a module",
    }
    small, report = tiling.block_convert(
        nn.Sequential(nn.Conv2d(3, 4, 7, padding=3)), torch.randn(1, 3, 16, 16), 2, padding_mode="reflect"
    )
    assert "larger tiles" in report.layers[0].reason and type(small[0]) is nn.Conv2d


def convolution() -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, padding=1)


class TwiceUsed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 1, 1)
        self.steps = nn.Sequential(convolution(), pool, convolution(), pool)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)


def test_a_layer_with_two_names_is_replaced_under_both() -> None:
    converted, _ = tiling.block_convert(TwiceUsed(), torch.randn(1, 3, 16, 16), 4)
    assert isinstance(converted.steps[1], BlockMaxPool2d) and converted.steps[1] is converted.steps[3]


def test_a_network_that_is_one_layer() -> None:
    layer, x = convolution(), torch.randn(1, 3, 16, 16)
    converted, report = tiling.block_convert(layer, x, 4)
    assert type(layer) is nn.Conv2d and report.ratio == 1.0
    assert not torch.equal(converted(x), layer(x))


@pytest.mark.parametrize("size", [(16, 16), (13, 10)])
@pytest.mark.parametrize("kind", ["AvgPool2dSame", "MaxPool2dSame", "Conv2dSame"])
def test_layers_that_pad_by_the_size_of_their_map(kind: str, size: tuple[int, int]) -> None:
    """One tile is the layer itself; several of them, which divide the map, are the layer on each."""
    import timm.layers
    from timm.layers import pool2d_same

    made = getattr(timm.layers if kind == "Conv2dSame" else pool2d_same, kind)
    layer = made(3, 4, 3, stride=2) if kind == "Conv2dSame" else made(3, 2)
    x = torch.randn(2, 3, *size)
    whole, report = tiling.block_convert(layer, x, 0)
    assert report.layers[0].blocked and report.layers[0].grid == (1, 1)
    torch.testing.assert_close(whole(x), layer(x))
    cut, report = tiling.block_convert(layer, x, 8)
    assert report.layers[0].grid == (2, 2) and cut(x).shape == layer(x).shape
    again, report = tiling.block_convert(cut, x, 0)
    assert report.layers[0].grid == (1, 1)
    torch.testing.assert_close(again(x), layer(x))
    if size == (16, 16):
        torch.testing.assert_close(cut(x)[..., 4:, :4], layer(x[..., 8:, :8]))


class PadsAndScales(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(input, (1, 1, 1, 1)) + 1)


class PadsWithOnes(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(input, (1, 1, 1, 1), value=1.0))


class Multiplies(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input * 2


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (PadsAndScales(3, 3, 3), "what it pads goes to add"),
        (PadsWithOnes(3, 3, 3), "pads with 1.0"),
        (Multiplies(3, 3, 3), "does not give what it reads"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), "opposite borders"),
        (nn.MaxPool2d(2, return_indices=True), "indices"),
        (nn.ConvTranspose2d(3, 3, 3), "transposed"),
        (nn.LPPool2d(2, 2), "powers"),
        (nn.AdaptiveAvgPool2d(4), "whole map"),
    ],
)
def test_layers_that_stay_whole_say_why_and_work(layer: nn.Module, says: str) -> None:
    x = torch.randn(1, 3, 16, 16)
    converted, report = tiling.block_convert(layer, x, 4)
    assert not report.layers[0].blocked and says in report.layers[0].reason
    assert type(converted) is type(layer)
    torch.testing.assert_close(converted(x), layer(x))


def test_a_convolution_that_mirrors_its_border_keeps_doing_so() -> None:
    layer, x = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(tiling.block_convert(layer, x, 0)[0](x), layer(x))
    cut, _ = tiling.block_convert(layer, x, 8)
    torch.testing.assert_close(cut(x)[..., :8, 8:], layer(x[..., :8, 8:]))


@pytest.mark.parametrize("layer", [convolution(), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1)])
def test_what_is_cut_can_be_cut_anew(layer: nn.Module) -> None:
    x = torch.randn(1, 3, 16, 16)
    once, _ = tiling.block_convert(layer, x, 8)
    again, report = tiling.block_convert(once, x, 4)
    assert report.layers[0].grid == (4, 4)
    torch.testing.assert_close(again(x), tiling.block_convert(layer, x, 4)[0](x))


class Blurs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = convolution()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.conv2d(self.conv(x), torch.ones(3, 1, 3, 3), padding=1, groups=3)
        return nn.functional.max_pool2d(x, kernel_size=2)


def test_convolutions_that_are_functions_count() -> None:
    _, report = tiling.block_convert(Blurs(), torch.randn(1, 3, 16, 16), 4)
    assert report.ratio == 0.5
    assert [(layer.name, layer.kernel) for layer in report.layers[1:]] == [
        ("F.conv2d", (3, 3)),
        ("F.max_pool2d", (2, 2)),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ratio": 0.0}, "ratio 0.0"),
        ({"blocking": "round"}, "hierarchical"),
        ({"padding_mode": "circular"}, "replicate"),
        ({"block_size": "big"}, "block size"),
    ],
)
def test_impossible_requests(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        tiling.block_convert(Loose(), torch.randn(1, 3, 16, 16), **options)
    with pytest.raises(UsageError, match="does not run on an input"):
        tiling.block_convert(Loose(), torch.randn(1, 5, 16, 16))


@pytest.mark.parametrize(
    "name",
    sampled(
        ["block_resnet50", "block_resnext50_32x4d", "block_vgg16_bn", "block_mobilenet"], ["block_mobilenet"]
    ),
)
def test_named_networks_are_those_of_torchvision_on_tiles(name: str) -> None:
    plain_name = name.removeprefix("block_")
    made = build_network(NetworkSpec(f"model:{name}", out_dim=1000), seed=0).eval()
    assert sum(isinstance(m, tiling.BlockConv2d) for m in made.modules()) > 8
    if plain_name != "mobilenet":
        import torchvision

        plain = torchvision.models.get_model(plain_name, weights=None).eval()
        plain.load_state_dict(made.state_dict())
    small = tiling.block_network(name, 10, (8, 8), padding_mode="replicate", small_images=True).eval()
    assert small(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_mobilenet_has_the_published_size() -> None:
    """Howard et al., table 6: 4.2, 2.6, 1.3 and 0.5 million parameters."""
    from blockzoo.models.mobilenet import MobileNetV1

    sizes = [sum(p.numel() for p in MobileNetV1(multiplier=m).parameters()) for m in (1, 0.75, 0.5, 0.25)]
    assert [round(size / 1e6, 1) for size in sizes] == [4.2, 2.6, 1.3, 0.5]
    with pytest.raises(UsageError, match="multiplier"):
        MobileNetV1(multiplier=0)


def test_earlier_networks_pool_where_they_stride() -> None:
    made = tiling.block_network("resnet18", 10, 8, stride_mode="maxpool", small_images=True).eval()
    strided = [m for m in made.modules() if isinstance(m, tiling.BlockConv2d) and m.stride == (2, 2)]
    assert strided and all(m.stride_mode == "maxpool" for m in strided)
    assert made(torch.randn(1, 3, 32, 32)).shape == (1, 10)
    with pytest.raises(UsageError, match="block_resnet18"):
        tiling.block_network("resnet19")
