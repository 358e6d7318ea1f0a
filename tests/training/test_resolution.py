from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from blockzoo.training.resolution import mean_area, scale_in_epoch, shrunk, side_at


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 10, 50])
def test_scales_rise_evenly_and_the_last_fifth_is_whole(epochs: int) -> None:
    scales = [scale_in_epoch(0.4, epoch, epochs) for epoch in range(epochs)]
    whole = max(1, -(-epochs // 5))
    assert scales[-whole:] == [1.0] * whole and all(scale < 1 for scale in scales[:-whole])
    assert epochs == 1 or scales[0] == 0.4
    steps = np.diff(scales[: len(scales) - whole + 1])
    assert len(steps) < 2 or np.allclose(steps, steps[0])
    assert scale_in_epoch(1.0, 0, epochs) == 1
    assert mean_area(0.4, epochs) == pytest.approx(sum(scale**2 for scale in scales) / epochs)


def test_sides_are_multiples_of_four_or_whole() -> None:
    for side in (4, 7, 28, 30, 32, 224):
        sides = [side_at(scale, side) for scale in np.linspace(0.01, 1, 100)]
        assert sides[-1] == side and sides == sorted(sides)
        assert all(there % 4 == 0 or there == side for there in sides)
    assert [side_at(scale, 32) for scale in (0.5, 0.75)] == [16, 24]


@pytest.mark.parametrize("side", [24, 16, 12])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_smaller_images_are_those_of_pillow(side: int, layout: torch.memory_format) -> None:
    """Pillow's bilinear filter averages over what becomes one pixel."""
    images = torch.rand(2, 3, 32, 32).contiguous(memory_format=layout)
    smaller = shrunk(images, side / 32)
    assert smaller.shape == (2, 3, side, side) and smaller.is_contiguous(memory_format=layout)
    for image, own in zip(images.flatten(0, 1), smaller.flatten(0, 1), strict=True):
        of_pillow = Image.fromarray(image.numpy()).resize((side, side), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(own.numpy(), np.asarray(of_pillow), atol=1e-5)
    assert shrunk(images, 1.0) is images
