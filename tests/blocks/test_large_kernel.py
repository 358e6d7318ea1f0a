"""What is fused and what is transformed, against the plain way."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.large_kernel import DilatedBranches, WaveletConvolution
from blockzoo.models.merging import merge_branches


def test_dilated_branches_become_one_kernel() -> None:
    torch.manual_seed(0)
    branches = DilatedBranches(4)
    for layer in branches.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    branches, x = branches.eval().double(), torch.randn(2, 4, 9, 15, dtype=torch.float64)
    expected = branches(x)
    merged = merge_branches(branches)
    assert isinstance(merged.merged, nn.Conv2d) and sum(p.numel() for p in merged.parameters()) == 4 * (
        13**2 + 1
    )
    assert torch.allclose(merged(x), expected, atol=1e-12)


def test_wavelets_by_hand() -> None:
    """Means and differences of two levels, convolved and put together by the formula, pixel by pixel."""
    torch.manual_seed(0)
    layer, x = WaveletConvolution(1).double(), torch.randn(1, 1, 8, 8, dtype=torch.float64)
    a, b, c, d = (x[..., i::2, j::2] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    waves = torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2

    def inverse(waves: torch.Tensor) -> torch.Tensor:
        low, across, down, diagonal = waves.split(1, 1)
        made = torch.zeros(*waves.shape[:1], 1, *(2 * n for n in waves.shape[2:]), dtype=waves.dtype)
        made[..., 0::2, 0::2] = (low + across + down + diagonal) / 2
        made[..., 0::2, 1::2] = (low - across + down - diagonal) / 2
        made[..., 1::2, 0::2] = (low + across - down - diagonal) / 2
        made[..., 1::2, 1::2] = (low - across - down + diagonal) / 2
        return made

    assert torch.allclose(inverse(waves), x)
    means = waves[:, :1]
    a, b, c, d = (means[..., i::2, j::2] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    deeper = torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
    convolved = [
        0.1 * F.conv2d(w, level.weight, padding=2, groups=4)
        for w, level in zip((waves, deeper), layer.levels, strict=True)
    ]
    convolved[0][:, :1] += inverse(convolved[1])
    assert torch.allclose(layer(x), layer.base(x) + inverse(convolved[0]))
    assert layer(torch.randn(2, 1, 7, 5, dtype=torch.float64)).shape == (2, 1, 7, 5)
