"""Branches that are added become one kernel; what each part of two blocks does, by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.branches import with_zeros
from blockzoo.blocks.modern import InParts, PartialNetBlock, PlaceGate, StyleGate
from blockzoo.blocks.reparam import AddedKernels, ChunkedKernels, RepNeXtBlock
from blockzoo.models.merging import merge_branches


def test_a_dilated_kernel_with_zeros_is_the_same_convolution() -> None:
    kernel, x = torch.randn(3, 2, 2, 3).double(), torch.randn(1, 2, 9, 11).double()
    assert torch.allclose(F.conv2d(x, with_zeros(kernel, 3)), F.conv2d(x, kernel, dilation=3))
    assert with_zeros(kernel, 1) is kernel


def test_added_kernels_become_one() -> None:
    torch.manual_seed(0)
    for branches, side in ((ChunkedKernels.SMALL, 3), (ChunkedKernels.MEDIUM, 7)):
        layer, x = AddedKernels(4, *branches).double().eval(), torch.randn(2, 4, 9, 15).double()
        merged = merge_branches(layer)
        assert sum(p.numel() for p in merged.parameters()) == 4 * (side**2 + 1)
        assert torch.allclose(merged(x), layer(x), atol=1e-12) and merged(x).shape == x.shape


def test_each_fourth_of_repnext_has_its_reach() -> None:
    torch.manual_seed(0)
    x = torch.zeros(1, 16, 15, 15)
    x[..., 7, 7] = 1
    mixer = ChunkedKernels(16)
    assert torch.equal(mixer(x)[:, :4], x[:, :4])
    difference = mixer(x) - mixer(torch.zeros_like(x))
    for chunk, side in zip(difference.chunk(4, dim=1)[1:], (3, 7, 11), strict=True):
        places = chunk[0].abs().sum(0).nonzero()
        assert (places.max(0).values - places.min(0).values + 1).tolist() == [side, side]


def test_repnext_by_hand() -> None:
    torch.manual_seed(0)
    block, x = RepNeXtBlock(8, 8).eval(), torch.randn(2, 8, 9, 9)
    mixer, norm, wide, gelu, narrow = block[0]
    assert torch.equal(block(x), x + narrow(gelu(wide(norm(mixer(x))))))
    assert wide[0].out_channels == 16 and isinstance(gelu, nn.GELU)
    kernels = 2 * (3 * 3 + 3 + 3 + 2 * 2 + 7 * 7 + 15 + 15 + 14 + 10 + 11 + 11)
    biases, norms = 2 * (4 + 3 + 2), 2 * (8 + 16 + 8)
    assert sum(p.numel() for p in block.parameters()) == kernels + biases + norms + 2 * 8 * 16


def test_partialnet_by_hand() -> None:
    torch.manual_seed(0)
    block, x = PartialNetBlock(8, 8).eval(), torch.randn(2, 8, 6, 5)
    channels, wide, norm, relu, narrow, places = block[0]
    gate, behind = channels.other
    rest = x[:, 2:]
    style = torch.cat([rest.mean((2, 3)), (rest.var((2, 3), correction=0) + 1e-5).sqrt()], 1)
    weights = F.hardsigmoid(gate.norm(style @ gate.mix.weight.T))
    made = torch.cat(
        [F.conv2d(x[:, :2], channels.one.weight, padding=1), behind(rest * weights[..., None, None])], 1
    )
    made = narrow(relu(norm(wide(made))))
    first, last = made[:, :4], made[:, 4:]
    place = F.hardsigmoid(F.conv2d(first, places.one[0].mix.weight))
    made = torch.cat([places.one[1](first * place), places.other[1](places.other[0](last))], 1)
    assert torch.allclose(block(x), x + made, atol=1e-6)


def test_gates_of_constant_channels_learn() -> None:
    x = torch.ones(2, 4, 3, 3, requires_grad=True)
    InParts(2, StyleGate(2), PlaceGate(2))(x * 1).square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
