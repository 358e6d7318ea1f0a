"""The operations of a network add up to what is counted of it, and each stands where and as what it is."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import CheckFailed
from blockzoo.core.roofline import KINDS, WITH_MACS, Operation
from blockzoo.measure.ledger import check_operation_costs, operations_of
from blockzoo.measure.macs import count_macs


def kinds(module: nn.Module, *shape: int) -> Counter[str]:
    module, x = module.eval(), torch.zeros(shape)
    operations = operations_of(module, lambda: module(x))
    assert sum(o.macs for o in operations) == count_macs(module, x)
    assert all(o.kind in KINDS for o in operations)
    assert all(o.kind in WITH_MACS for o in operations if o.macs)
    return Counter(o.kind for o in operations if o.kind != "views")


@pytest.mark.parametrize(
    ("module", "shape", "kind"),
    [
        (nn.Conv2d(4, 8, 3), (1, 4, 6, 6), "dense convolutions"),
        (nn.Conv2d(4, 8, 1), (1, 4, 6, 6), "1x1 convolutions"),
        (nn.Conv2d(4, 8, 3, groups=2), (1, 4, 6, 6), "grouped convolutions"),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 6, 6), "depthwise convolutions"),
        (nn.Conv2d(4, 4, 1, groups=4), (1, 4, 6, 6), "depthwise convolutions"),
        (nn.ConvTranspose2d(4, 8, 3, groups=4), (1, 4, 6, 6), "depthwise convolutions"),
        (nn.Conv1d(4, 8, 3), (1, 4, 6), "dense convolutions"),
        (nn.Linear(4, 8), (2, 4), "matrix products"),
        (nn.BatchNorm2d(4), (1, 4, 6, 6), "norms"),
        (nn.LayerNorm(4), (2, 4), "norms"),
        (nn.GroupNorm(2, 4), (1, 4, 6, 6), "norms"),
        (nn.ReLU(inplace=True), (1, 4), "activations"),
        (nn.ReLU6(), (1, 4), "activations"),
        (nn.GELU(), (1, 4), "activations"),
        (nn.Softmax(1), (1, 4), "activations"),
        (nn.MaxPool2d(2), (1, 4, 6, 6), "pooling"),
        (nn.AvgPool2d(2), (1, 4, 6, 6), "pooling"),
        (nn.AdaptiveAvgPool2d(1), (1, 4, 6, 6), "reductions"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 6, 6), "interpolation"),
        (nn.PixelShuffle(2), (1, 4, 6, 6), "copies"),
        (nn.ZeroPad2d(1), (1, 4, 6, 6), "copies"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_each_kind(module: nn.Module, shape: tuple[int, ...], kind: str) -> None:
    assert set(kinds(module, *shape)) == {kind}


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x, x) + x


def test_attention() -> None:
    assert kinds(Attention(), 1, 2, 16, 8) == {"attention": 1, "pointwise operations": 1}


def test_layers_are_named_by_their_paths() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, self.body(x)], 1)

    module = Residual()
    operations = operations_of(module, lambda: module(torch.zeros(1, 3, 4, 4)))
    assert [(o.layer, o.name) for o in operations if o.kind != "views"] == [
        ("", "aten.zeros"),
        ("body.0", "aten.convolution"),
        ("body.1", "aten.relu_"),
        ("", "aten.cat"),
    ]


def test_hooks_are_gone_afterwards_though_a_layer_fails() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))
    with pytest.raises(RuntimeError):
        operations_of(module, lambda: module(torch.zeros(1, 3)))
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


def test_what_is_counted_otherwise_than_run_stands_with_what_ran() -> None:
    """A complex convolution runs as three real ones and has the multiply-adds of four."""
    module = nn.Conv2d(2, 4, 3, dtype=torch.complex64)
    x = torch.zeros(1, 2, 5, 5, dtype=torch.complex64)
    operations = operations_of(module, lambda: module(x))
    assert sum(o.macs for o in operations) == count_macs(module, x) == 4 * 4 * 2 * 9 * 9


def test_unknown_multiply_adds_are_named() -> None:
    def forward() -> None:
        torch.linalg.svd(torch.zeros(3, 3))

    operations = operations_of(nn.Identity(), forward)
    assert [o.kind for o in operations if "MACs" in o.unknown] == ["other operations"]


@pytest.mark.mutation("operation-costs")
def test_an_operation_that_is_left_out_is_told() -> None:
    module = nn.Conv2d(3, 8, 3)
    operations = operations_of(module, lambda: module(torch.zeros(1, 3, 5, 5)))
    macs = count_macs(module, torch.zeros(1, 3, 5, 5))
    assert check_operation_costs("x", operations, macs) == 0.0
    for wrong in (
        [o for o in operations if not o.macs],
        [*operations, Operation("", "aten.mm", "matrix products", 1, 0, 0)],
    ):
        with pytest.raises(CheckFailed, match="one by one and 1,944 together"):
            check_operation_costs("x", wrong, macs)
