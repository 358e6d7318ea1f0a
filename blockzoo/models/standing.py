"""Is what a network gives for an image in evaluation mode that image's alone, and the same each time?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.models.agreement import deviation

if TYPE_CHECKING:
    from jaxtyping import Shaped

ALONE = 1e-2
"""Of the largest output. Rounding differs with the number of images, and deep networks enlarge it."""


@torch.no_grad()
def depends_on(network: nn.Module, images: Shaped[torch.Tensor, "B ..."]) -> list[str]:
    """What else the outputs of a network depend on in evaluation mode, as sentences about it: chance, or the images beside one.
    Accuracies of such a network are those of its evaluation's batches, or of one draw.

    Args:
        network: is called, in evaluation mode; its mode is put back.
        images: two or more that it takes, not all alike; of anything, as of numbers.
    """
    training = network.training
    network.eval()
    try:
        first, second = network(images.clone()), network(images.clone())
        if not deviation(first, second) <= ALONE:
            return [
                "differs between two calls with the same images in evaluation mode, so its accuracies are of one draw"
            ]
        others = images[:1].expand_as(images).clone()  # the first image stays, beside others than before
        if not deviation(_first(first), _first(network(others))) <= ALONE:
            return [
                "gives an image another output when others are in its batch, in evaluation mode, so its accuracies depend on the "
                "batch size and the order of the images"
            ]
    finally:
        network.train(training)
    return []


def _first(outputs: object) -> object:
    """What outputs say of the first image: of each tensor its first row."""
    if isinstance(outputs, torch.Tensor):
        return outputs[:1] if outputs.ndim else outputs
    if isinstance(outputs, dict):
        return {name: _first(part) for name, part in outputs.items()}
    return [_first(part) for part in outputs] if isinstance(outputs, tuple | list) else outputs
