"""A block converted to another form by the prefix before its name: `tiled:F8:ResNetBasicBlock`."""

from __future__ import annotations

import inspect
from functools import cache

from torch import nn

from blockzoo.blocks.adapters import Maker
from blockzoo.core.contracts import CONVERSIONS


class Converted:
    """Makes a block, and converts it.

    Args:
        maker: of the block.
        prefix: of the conversion.
        options: of it.
    """

    def __init__(self, maker: Maker, prefix: str, options: str) -> None:
        self.maker, self.conversion = maker, CONVERSIONS[prefix](options)
        self.__name__ = f"{prefix}:{options}:{getattr(maker, '__name__', maker)}"
        self.__module__ = getattr(maker, "__module__", "")
        paragraphs = inspect.cleandoc(maker.__doc__ or "").split("\n\n")
        self.__doc__ = "\n\n".join([paragraphs[0], self.conversion.sentence, *paragraphs[1:]])

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module:
        return self.conversion.convert(self.maker(in_channels, out_channels, stride, position), in_channels)


@cache
def converted(maker: Maker, prefix: str, options: str) -> Converted:
    """The block converted, the same object each time."""
    return Converted(maker, prefix, options)
