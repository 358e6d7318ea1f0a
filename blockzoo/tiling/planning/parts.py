"""Parts of maps: what tiles hold of them, which rows and columns these are, and room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from blockzoo.tiling.geometry import Tile
from blockzoo.tiling.graph.network import Operation

if TYPE_CHECKING:
    from jaxtyping import Shaped


@dataclass
class Held:
    """A part of a map, and the row and column of the map at which it begins."""

    tensor: Any
    top: int
    left: int

    def part(self, axes: tuple[int, int] | None, rows: tuple[int, int], columns: tuple[int, int]) -> Any:
        """Some of its rows and columns, counted in the map."""
        if isinstance(self.tensor, (tuple, list)):
            return type(self.tensor)(
                Held(t, self.top, self.left).part(axes, rows, columns) for t in self.tensor
            )
        assert axes is not None
        x = self.tensor.narrow(axes[0], rows[0] - self.top, rows[1] - rows[0])
        return x.narrow(axes[1], columns[0] - self.left, columns[1] - columns[0])


def reach(tiles: Sequence[Tile]) -> tuple[int, int]:
    return min(tile.start for tile in tiles), max(tile.stop for tile in tiles)


def span(tiles: Sequence[Tile]) -> tuple[int, int]:
    return tiles[0].first, tiles[-1].last


def area(
    x: Shaped[torch.Tensor, "N ..."], operation: Operation, rows: tuple[int, int], columns: tuple[int, int]
) -> Shaped[torch.Tensor, "N ..."]:
    part = Held(x, 0, 0).part(operation.axes, rows, columns)
    assert isinstance(part, torch.Tensor)
    return part


def room(
    like: Shaped[torch.Tensor, "N C H W"],
    count: int,
    operation: Operation,
    dtype: torch.dtype | None,
    size: tuple[int, int] | None = None,
) -> Shaped[torch.Tensor, "count ..."]:
    """Room for an operation's output, or for a part of it of some rows and columns; on the device of `like`."""
    kind = (
        torch.channels_last
        if operation.axes == (2, 3) and like.device.type == "cpu"
        else torch.contiguous_format
    )
    shape = (*operation.shape[1:2], *size) if size else operation.shape[1:]
    return torch.empty((count, *shape), dtype=dtype, device=like.device, memory_format=kind)


def extent(tiles: Sequence[Tile]) -> int:
    return tiles[-1].last - tiles[0].first
