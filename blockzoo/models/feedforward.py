"""Fully connected networks and small convolutional ones, each layer a block; and ensembles of either.

`feedforward`: linear layers with ReLU between them. `cnn`: 3x3 convolutions (each halves the map until 4 pixels are left),
global pooling, a linear layer. An ensemble averages its members' outputs, or lets one drawn by chance speak for each example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.plain import PlainConvNet, ResidualConvNet

if TYPE_CHECKING:
    from jaxtyping import Float


DEFAULT_WIDTHS = (64, 64)
SMALLEST_MAP = 4


class FeedForward(nn.Module):
    """Linear layers with ReLU between them, each its own block. Input (B, ...) of any shape, output (B, outputs).

    Args:
        inputs: numbers of one example.
        widths: of the hidden layers.
        outputs: of the last layer.
        linear: without the ReLU: a product of matrices.
    """

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, linear: bool = False) -> None:
        super().__init__()
        sizes = [inputs, *_checked(widths), outputs]
        between: list[nn.Module] = [] if linear else [nn.ReLU()]
        layers: list[nn.Module] = [nn.Sequential(nn.Linear(a, b), *between) for a, b in pairwise(sizes[:-1])]
        layers.append(nn.Linear(sizes[-2], sizes[-1]))
        layers[0] = nn.Sequential(
            nn.Flatten(), *(layers[0] if isinstance(layers[0], nn.Sequential) else [layers[0]])
        )
        self.blocks = nn.ModuleList(layers)

    def forward(self, x: Float[torch.Tensor, "B ..."]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


class ConvNet(nn.Module):
    """3x3 convolutions with batch norm and ReLU, each its own block, then pooling and a linear layer as the last.

    Args:
        in_channels: of the images.
        widths: channels of the convolutions; each has stride 2 as long as the map stays at least 4 x 4.
        outputs: of the last layer.
        image_size: side length of the images.
        normalise: with batch norms; False makes every block a plain convolution.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        outputs: int,
        image_size: int = 32,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        channels, size, layers = in_channels, image_size, []
        for width in _checked(widths):
            stride = 2 if size // 2 >= SMALLEST_MAP else 1
            parts: list[nn.Module] = [nn.Conv2d(channels, width, 3, stride, 1, bias=not normalise)]
            parts += [nn.BatchNorm2d(width)] if normalise else []
            layers.append(nn.Sequential(*parts, nn.ReLU()))
            channels, size = width, -(-size // stride)
        layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs)))
        self.blocks = nn.ModuleList(layers)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


class Ensemble(nn.Module):
    """Networks side by side whose outputs become one. `.blocks` are those of all members, one after the other.

    (They are a partition of the layers, but not a chain: members do not feed each other.)

    Args:
        members: networks with `.blocks`.
        combine: "average" of the outputs, or "vote": for each example one member speaks, drawn anew in each training step from
            torch's generator and `seed`; in evaluation the average.
        seed: of the draws.
    """

    def __init__(
        self, members: Sequence[nn.Module], combine: Literal["average", "vote"] = "average", seed: int = 0
    ) -> None:
        super().__init__()
        if not members:
            raise UsageError("an ensemble needs at least one network")
        if combine not in ("average", "vote"):
            raise UsageError(f"combine {combine!r}: choose average or vote")
        self.members = nn.ModuleList(members)
        self.combine = combine
        self.seed = seed

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks of all members."""
        return [block for member in self.members for block in member.blocks]  # type: ignore[union-attr]

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        outputs = torch.stack([member(x) for member in self.members])
        if self.combine == "average" or not self.training:
            return outputs.mean(0)
        drawn = int(
            torch.randint(2**31, ())
        )  # who seeds torch (for a round, a block) has the same votes again
        generator = torch.Generator().manual_seed(drawn ^ self.seed)
        chosen = torch.randint(len(self.members), (len(x),), generator=generator).to(x.device)
        return outputs[chosen, torch.arange(len(x), device=x.device)]


def _checked(widths: Sequence[int]) -> list[int]:
    wrong = [w for w in widths if isinstance(w, bool) or not isinstance(w, int) or w < 1]
    if wrong:
        raise UsageError(f"widths {list(widths)}: whole numbers of 1 or more are needed")
    return list(widths)


SIZED = (
    "feedforward",
    "linear",
    "cnn",
    "plain_cnn",
    "residual_cnn",
    "residual_cnn_bi",
    "nn_ensemble",
    "cnn_ensemble",
    "plain_cnn_ensemble",
)
"""Networks whose widths can be chosen."""


def sized_network(
    kind: str,
    shape: Sequence[int],
    outputs: int,
    widths: Sequence[Any] = (),
    combine: Literal["average", "vote"] = "average",
    seed: int = 0,
) -> nn.Module:
    """A network of one of the kinds `SIZED`.

    Args:
        kind: one of `SIZED`.
        shape: of one example, (C, H, W) or (features,).
        outputs: classes, or numbers to predict.
        widths: of the hidden layers; for ensembles one list per member. Empty: the kind's own.
        combine: of ensembles: the average of the members' outputs, or a vote, see `Ensemble`.
        seed: of ensembles: of the draws of a vote.

    Raises:
        UsageError: widths of the wrong kind, or a convolution of what is no image.
    """
    nested = [isinstance(w, (list, tuple)) for w in widths]
    if any(is_list != kind.endswith("ensemble") for is_list in nested):
        form = "one list per member, [[16,16],[32,32]]" if kind.endswith("ensemble") else "one list, [64,64]"
        raise UsageError(f"config {list(widths)}: {kind} takes {form}")
    if "cnn" in kind and len(shape) != 3:
        raise UsageError(f"{kind} needs images, not examples of shape {tuple(shape)}; choose feedforward")

    def member(hidden: Sequence[int]) -> nn.Module:
        if kind.startswith("cnn"):
            return ConvNet(shape[0], hidden, outputs, shape[1])
        if kind.startswith("plain"):
            return PlainConvNet(shape[0], _checked(hidden), outputs)
        if kind == "residual_cnn":
            return ResidualConvNet(shape[0], _checked(hidden), outputs)
        if kind == "residual_cnn_bi":
            return ResidualConvNet(shape[0], _checked(hidden), outputs, stem=3, repeat_first=True)
        return FeedForward(math.prod(shape), hidden, outputs, linear=kind == "linear")

    if not kind.endswith("ensemble"):
        return member(widths or DEFAULT_WIDTHS)
    return Ensemble([member(w) for w in widths or [DEFAULT_WIDTHS] * 3], combine, seed)


def feedforward_network(
    spec: NetworkSpec, widths: Sequence[int] = DEFAULT_WIDTHS, image_size: int = 32
) -> FeedForward:
    """A fully connected network for images of a spec."""
    return FeedForward(spec.in_channels * image_size**2, widths, spec.num_classes)


@NETWORKS.register
def feedforward(spec: NetworkSpec) -> nn.Module:
    """A fully connected network of two hidden layers, each layer a block."""
    return feedforward_network(spec)


@NETWORKS.register
def cnn(spec: NetworkSpec) -> nn.Module:
    """Two 3x3 convolutions and a linear layer, each a block."""
    return ConvNet(spec.in_channels, DEFAULT_WIDTHS, spec.num_classes)


@NETWORKS.register
def nn_ensemble(spec: NetworkSpec) -> nn.Module:
    """Three fully connected networks, averaged."""
    return Ensemble([feedforward_network(spec) for _ in range(3)])


@NETWORKS.register
def cnn_ensemble(spec: NetworkSpec) -> nn.Module:
    """Three small convolutional networks, averaged."""
    return Ensemble([ConvNet(spec.in_channels, DEFAULT_WIDTHS, spec.num_classes) for _ in range(3)])
