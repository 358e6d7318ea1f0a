"""Subclasses of layers with a forward pass of their own: standardised weights, padding computed from the size.

Their forward pass runs as it is, but the convolution or pool that it calls is cut into tiles, and what it pads with becomes
padding of the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Blocking, Window, pair, tiles
from blockzoo.tiling.layers.conv import PaddingMode, over_tiles
from blockzoo.tiling.layers.pool import NO_SIDES, BlockAvgPool2d, BlockMaxPool2d, Sides, axes_of


@dataclass(frozen=True)
class TileRule:
    """How a layer is cut."""

    block_size: tuple[int, int]
    blocking: Blocking
    padding_mode: PaddingMode


def tiled_variant(layer: nn.Module, rule: TileRule) -> nn.Module:
    """The same module, of a class of its own whose convolution or pool runs on tiles.

    Its first call raises `UsageError` where the forward pass does something else with what it pads, or calls neither.
    """
    if isinstance(layer, _Tiled):
        restored(layer)
    kind = type(layer)
    layer.__class__ = type(f"Block{kind.__name__}", (_Tiled, kind), {"__module__": __name__})
    layer.tile_rule = rule  # type: ignore[assignment]
    layer.tile_grid = (1, 1)  # type: ignore[assignment]
    return layer


def restored(layer: nn.Module) -> None:
    """Undo `tiled_variant`."""
    layer.__class__ = type(layer).__mro__[2]
    del layer.tile_rule, layer.tile_grid


class _Tiled(nn.Module):
    """Runs the forward pass of the class it is mixed into with its convolution or pool cut."""

    tile_rule: TileRule
    tile_grid: tuple[int, int]

    def forward(self, *inputs: Any, **options: Any) -> torch.Tensor:
        with _TiledCalls(self.tile_rule) as calls:
            output: torch.Tensor = super().forward(*inputs, **options)
        if calls.grid is None or calls.waiting:
            raise UsageError(
                "its forward pass does not give what it reads, or pads, to a convolution or pool"
            )
        self.tile_grid = calls.grid
        return output


@dataclass(frozen=True)
class _Padding:
    """Padding put off: the map as it was, what was to stand around it, and its value."""

    x: torch.Tensor
    sides: Sides
    value: float


class _TiledCalls(TorchFunctionMode):
    def __init__(self, rule: TileRule) -> None:
        super().__init__()
        self._rule = rule
        self.waiting: _Padding | None = None
        self.grid: tuple[int, int] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        cut: dict[Any, Callable[..., Any]] = {
            F.pad: self._pad,
            F.conv2d: self._conv,
            F.max_pool2d: self._max_pool,
            F.avg_pool2d: self._avg_pool,
        }
        if func in cut:
            return cut[func](*args, **kwargs)
        if self.waiting and any(value is self.waiting.x for value in [*args, *kwargs.values()]):
            raise UsageError(
                f"what it pads goes to {getattr(func, '__name__', func)}, not straight to its layer"
            )
        return func(*args, **kwargs)

    def _pad(
        self, input: torch.Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
    ) -> Any:
        sides = [int(p) for p in pad]
        if mode == "circular":
            raise UsageError("circular padding joins opposite borders")
        if mode != "constant" or len(sides) != 4 or min(sides) < 0:
            return F.pad(input, sides, mode, value)
        before = self._taken(input, value or 0.0)
        (top, bottom), (left, right) = before
        total = ((top + sides[2], bottom + sides[3]), (left + sides[0], right + sides[1]))
        self.waiting = _Padding(input.view_as(input), total, value or 0.0)
        return self.waiting.x

    def _taken(self, x: torch.Tensor, value: float) -> Sides:
        """What stands around x, if it is of the value that the layer's own padding has."""
        if not self.waiting or x is not self.waiting.x:
            return NO_SIDES
        waiting, self.waiting = self.waiting, None
        if waiting.value != value and waiting.sides != NO_SIDES:
            raise UsageError(f"it pads with {waiting.value}, which is not padding of this layer")
        return waiting.sides

    def _conv(
        self,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        if isinstance(padding, str):
            raise UsageError(f"padding {padding!r} of a subclass of nn.Conv2d is not known in pixels")
        own, strides, dilations = pair(padding, "padding"), pair(stride, "stride"), pair(dilation, "dilation")
        sides = [(a + p, b + p) for (a, b), p in zip(self._taken(input, 0.0), own, strict=True)]
        rows, columns = (
            tiles(size, Window(k, s, d, before, after), block, self._rule.blocking)
            for size, k, s, d, (before, after), block in zip(
                input.shape[-2:],
                weight.shape[-2:],
                strides,
                dilations,
                sides,
                self._rule.block_size,
                strict=True,
            )
        )
        self.grid = (len(rows), len(columns))

        def convolve(part: torch.Tensor) -> torch.Tensor:
            return F.conv2d(part, weight, bias, strides, 0, dilations, groups)

        return over_tiles(input, rows, columns, convolve, self._rule.padding_mode)

    def _max_pool(
        self,
        input: torch.Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> torch.Tensor:
        pool = nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        blocked = BlockMaxPool2d(pool, self._rule.block_size, self._rule.blocking)
        return self._pooled(blocked, input, -float("inf"))

    def _avg_pool(self, input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        blocked = BlockAvgPool2d(nn.AvgPool2d(*args, **kwargs), self._rule.block_size, self._rule.blocking)
        return self._pooled(blocked, input, 0.0)

    def _pooled(
        self, made: BlockMaxPool2d | BlockAvgPool2d, input: torch.Tensor, value: float
    ) -> torch.Tensor:
        extra = self._taken(input, value)
        rows, columns = axes_of(made, input, made.block_size, made.blocking, extra)
        self.grid = (len(rows), len(columns))
        output: torch.Tensor = made(input, extra)
        return output
