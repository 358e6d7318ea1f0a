"""Weights that follow from the image, against one image at a time."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from blockzoo.blocks.dynamic import DynamicConvolution, ShiftMax


def test_a_dynamic_convolution_is_one_with_the_weighed_kernel() -> None:
    torch.manual_seed(0)
    layer, images = DynamicConvolution(6, 4, stride=2).eval().double(), torch.randn(3, 6, 9, 7).double()
    made = layer(images)
    for image, wanted in zip(images, made, strict=True):
        told = layer.squeeze(image[None])
        place, kernel = layer.place(told).sigmoid().view(3, 3), layer.kernel(told).softmax(1).flatten()
        weight = torch.einsum("k,koihw,hw->oihw", kernel, layer.weight, place)
        weight = (
            weight * layer.read(told).sigmoid().view(1, 6, 1, 1) * layer.made(told).sigmoid().view(4, 1, 1, 1)
        )
        assert torch.allclose(F.conv2d(image[None], weight, stride=2, padding=1)[0], wanted)


def test_shift_max_by_hand() -> None:
    torch.manual_seed(0)
    layer, x = ShiftMax(4).double(), torch.randn(2, 4, 3, 3).double()
    weights = layer.squeeze(x).view(2, 4, 4) * 2 - 1
    made = layer(x)
    for b in range(2):
        for i in range(4):
            other = x[b, (i + 2) % 4]
            first = (1 + weights[b, 0, i]) * x[b, i] + weights[b, 2, i] * other
            second = weights[b, 1, i] * x[b, i] + weights[b, 3, i] * other
            assert torch.allclose(made[b, i], torch.maximum(first, second))
