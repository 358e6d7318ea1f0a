"""A block on tiles, as a block: `tiled:F8:ResNetBasicBlock`. What stands around it in its network stays whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from blockzoo.core.contracts import CONVERSIONS
from blockzoo.core.errors import UsageError
from blockzoo.tiling.tags import read_options

if TYPE_CHECKING:
    from torch import nn

    from blockzoo.tiling.layers.convert import ConversionReport

AROUND = {"zeros": "zeros", "replicate": "its border pixels again", "reflect": "its mirror images"}
"""What each padding is, in words."""
LARGE = 32
"""Side of the map on which a block is tried when it is converted, as far as whole tiles allow."""


@CONVERSIONS.register("tiled")
class Tiles:
    """Convolutions and pools on tiles that do not see each other: `tiled:F8:ResNetBasicBlock`, `tiled:H4x4,reflect:RepMixer+se`.

    Args:
        options: a tag, and a padding where it is not zeros.

    Raises:
        UsageError: others, or a tag that cuts nothing.
    """

    remedy = "choose smaller tiles, a number of them (H2x2), or positions with larger maps; or name the block without tiles"

    def __init__(self, options: str) -> None:
        if any(word.endswith("px") for word in options.split(",")):
            raise UsageError(
                f"tiles {options!r} of a block: its maps are those of its network, so leave out the pixels"
            )
        self.tiling, _ = read_options(options)
        if self.tiling.blocking is None:
            raise UsageError(
                f"tiles {options!r} of a block: that is the block itself; name it without tiled:{options}:"
            )
        padding = self.tiling.padding
        self.options = self.tiling.tag if padding == "zeros" else f"{self.tiling.tag},{padding}"

    @property
    def sentence(self) -> str:
        """What becomes of a block."""
        rows, columns = self.tiling.block
        if self.tiling.blocking == "fixed":
            tiles = f"tiles of {rows} x {columns} pixels, so the smaller map of a later stage has fewer"
        else:
            tiles = f"{rows} x {columns} tiles, so those of a later stage are smaller"
        return (
            f"On tiles: each convolution larger than 1x1 and each pool cuts the map that it reads into {tiles}. Tiles do not "
            f"see each other; around each stand {AROUND[self.tiling.padding]}. A map no larger than a tile is not cut, and "
            "what reads the whole map (a mean of it, attention) stays whole."
        )

    def convert(self, block: nn.Module, in_channels: int) -> nn.Module:
        """The block with its layers cut: same weights, same names."""
        return self._converted(block, self._large(in_channels))[0]

    def changes(self, block: nn.Module, shape: Sequence[int]) -> tuple[int, list[str]]:
        """How many of its layers are cut where its map is (B, C, H, W), and why those that could be are not."""
        cut = {
            layer.name for layer in self._converted(block, self._large(shape[1]))[1].layers if layer.blocked
        }
        changed, whole = 0, []
        for layer in self._converted(block, shape)[1].layers:
            rows, columns = layer.size or (0, 0)
            if layer.name in cut and not layer.blocked:
                raise UsageError(f"{layer.name} on a map of {rows} x {columns}: {layer.reason}")
            if layer.blocked and (layer.grid != (1, 1) or self.tiling.padding != "zeros"):
                changed += 1
            elif layer.blocked:
                whole.append(f"{layer.name} ({rows} x {columns} pixels are one tile)")
            elif max(layer.kernel) != 1:
                whole.append(f"{layer.name} ({layer.reason})")
        return changed, whole

    def _large(self, channels: int) -> tuple[int, int, int, int]:
        """A map of which tiles leave no rest, at half the resolution too where they are small, so that what cannot be cut there
        is so for its tiles, not for the map.
        """
        tile = 1 if self.tiling.blocking == "hierarchical" else math.lcm(*self.tiling.block)
        side = 2 * tile * max(1, LARGE // (2 * tile)) if 2 * tile <= LARGE else tile
        return 1, channels, side, side

    def _converted(self, block: nn.Module, shape: Sequence[int]) -> tuple[nn.Module, ConversionReport]:
        import torch

        from blockzoo.tiling.layers.convert import block_convert

        tiling = self.tiling
        assert tiling.blocking is not None
        return block_convert(block, torch.zeros(tuple(shape)), tiling.block, tiling.blocking, tiling.padding)
