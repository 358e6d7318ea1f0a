"""Networks of others, converted: same keys and weights, the same result with one tile, and tiles that do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import RequestError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from blockzoo.tiling.pool import BlockAvgPool2d, BlockMaxPool2d

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


@pytest.mark.parametrize("subject", SUBJECTS)
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
    rows = tiling.pool.axes_of(cut, x, (4, 4), "fixed")[0][0].last  # type: ignore[attr-defined]
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
    with pytest.raises(RequestError, match=says):
        tiling.block_convert(Loose(), torch.randn(1, 3, 16, 16), **options)
    with pytest.raises(RequestError, match="does not run on an input"):
        tiling.block_convert(Loose(), torch.randn(1, 5, 16, 16))


@pytest.mark.parametrize(
    "name", ["block_resnet50", "block_resnext50_32x4d", "block_vgg16_bn", "block_mobilenet"]
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
    with pytest.raises(RequestError, match="multiplier"):
        MobileNetV1(multiplier=0)


def test_earlier_networks_pool_where_they_stride() -> None:
    made = tiling.block_network("resnet18", 10, 8, stride_mode="maxpool", small_images=True).eval()
    strided = [m for m in made.modules() if isinstance(m, tiling.BlockConv2d) and m.stride == (2, 2)]
    assert strided and all(m.stride_mode == "maxpool" for m in strided)
    assert made(torch.randn(1, 3, 32, 32)).shape == (1, 10)
    with pytest.raises(RequestError, match="block_resnet18"):
        tiling.block_network("resnet19")
