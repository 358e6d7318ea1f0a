"""Subclasses of nn.Conv2d with a forward pass of their own: standardised weights, padding computed from the size.

Their forward pass runs as it is, but the convolution that it calls is cut into tiles, and zeros that it pads with become padding
of the tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from blockzoo.core.errors import RequestError
from blockzoo.tiling.conv import PaddingMode, over_tiles
from blockzoo.tiling.geometry import Blocking, Window, pair, tiles


@dataclass(frozen=True)
class TileRule:
    """How a layer is cut."""

    block_size: tuple[int, int]
    blocking: Blocking
    padding_mode: PaddingMode


def tiled_variant(conv: nn.Conv2d, rule: TileRule) -> nn.Conv2d:
    """The same module, of a class of its own whose convolution runs on tiles."""
    kind = type(conv)
    conv.__class__ = type(f"Block{kind.__name__}", (_Tiled, kind), {"__module__": __name__})
    conv.tile_rule = rule  # type: ignore[assignment]
    conv.tile_grid = (1, 1)  # type: ignore[assignment]
    return conv


class _Tiled(nn.Module):
    """Runs the forward pass of the class it is mixed into with its convolution cut."""

    tile_rule: TileRule
    tile_grid: tuple[int, int]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with _TiledCalls(self.tile_rule) as calls:
            output: torch.Tensor = super().forward(x)
        self.tile_grid = calls.grid
        return output


class _TiledCalls(TorchFunctionMode):
    def __init__(self, rule: TileRule) -> None:
        super().__init__()
        self._rule, self._pads = rule, (0, 0, 0, 0)
        self.grid = (1, 1)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.pad:
            return self._pad(*args, **kwargs)
        if func in (F.conv2d, torch.conv2d):
            return self._conv(*args, **kwargs)
        return func(*args, **kwargs)

    def _pad(
        self, x: torch.Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
    ) -> Any:
        sides = [int(p) for p in pad]
        if mode != "constant" or value or len(sides) != 4 or min(sides) < 0:
            return F.pad(x, sides, mode, value)
        self._pads = tuple(a + b for a, b in zip(self._pads, sides, strict=True))  # type: ignore[assignment]
        return x

    def _conv(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        if isinstance(padding, str):
            raise RequestError(f"padding {padding!r} of a subclass of nn.Conv2d is not known in pixels")
        left, right, top, bottom = self._pads
        self._pads = (0, 0, 0, 0)
        own, strides, dilations = pair(padding, "padding"), pair(stride, "stride"), pair(dilation, "dilation")
        sides = ((top + own[0], bottom + own[0]), (left + own[1], right + own[1]))
        rows, columns = (
            tiles(size, Window(k, s, d, before, after), block, self._rule.blocking)
            for size, k, s, d, (before, after), block in zip(
                x.shape[-2:], weight.shape[-2:], strides, dilations, sides, self._rule.block_size, strict=True
            )
        )
        self.grid = (len(rows), len(columns))

        def convolve(part: torch.Tensor) -> torch.Tensor:
            return F.conv2d(part, weight, bias, strides, 0, dilations, groups)

        return over_tiles(x, rows, columns, convolve, self._rule.padding_mode)
