"""Memory formats of weights, of four dimensions and others."""

from __future__ import annotations

import torch
from torch import nn

from blockzoo.core.contracts import BLOCKS
from blockzoo.models.layouts import laid_out


def test_weights_of_four_dimensions_are_laid_out_as_torch_does_it() -> None:
    ours, theirs = (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)) for _ in range(2)
    )
    assert laid_out(ours, torch.channels_last) is ours
    theirs.to(memory_format=torch.channels_last)
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert mine.stride() == other.stride()
    weight = laid_out(ours, torch.contiguous_format)[0].weight
    assert weight.is_contiguous() and isinstance(weight, nn.Parameter)


def test_blocks_with_weights_of_five_dimensions_train_in_channels_last() -> None:
    for name in ("ODConvBasicBlock", "LambdaBlock"):
        block = laid_out(BLOCKS[name](8, 8), torch.channels_last)
        x = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last)
        block(x).square().mean().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in block.parameters())
