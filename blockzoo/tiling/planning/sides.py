"""What the tiles of one axis come to for an operation: outputs, pixels that are read and padded; what prediction counts with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.tiling.geometry import (
    Enlargement,
    Reads,
    Spread,
    Taps,
    Tile,
    equal_padding,
    shown_again,
    transposed_padding,
)
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.planning.stage import Axis

if TYPE_CHECKING:
    from jaxtyping import Int


def side_of(operation: Operation, axis: int, lines: Axis, chosen: tuple[int, ...]) -> Side:
    """What some tiles of one axis come to for an operation; worked out once."""
    taps = axis if isinstance(operation.windows[axis], Taps) else None
    key = (operation.name, chosen, taps)
    if key not in lines.sides:
        lines.sides[key] = Side(operation, axis, [lines[number][operation.name] for number in chosen])
    side: Side = lines.sides[key]
    return side


class Side:
    """What tiles of one axis come to for an operation.

    Args:
        tiles: of each its parts.

    Has:
        made, reach: (R,), outputs, and pixels that are read from the first to the last; of all parts of a tile together.
        several: (R,), is a tile made in several parts?
    """

    def __init__(self, operation: Operation, axis: int, tiles: Sequence[Sequence[Tile]]) -> None:
        self._tiles, self._operation, self._axis = tiles, operation, axis
        self.made = np.array([parts[-1].last - parts[0].first for parts in tiles])
        self.reach = np.array([_reach(parts) for parts in tiles])
        self.several = np.array([len(parts) > 1 for parts in tiles])

    @cached_property
    def parts(self) -> Int[np.ndarray, "5 R P"]:
        """(5, R, P), of each part of a tile: outputs that a kernel makes with equal padding, those that are wanted,
        does such a padding fit, pixels of a padded copy, is there none; a tile of fewer parts shows its last one again.
        """
        reads = self._operation.windows[self._axis]
        most = max(map(len, self._tiles))
        numbers = [
            [_along(t, reads, self._axis) for t in (*parts, *[parts[-1]] * (most - len(parts)))]
            for parts in self._tiles
        ]
        return np.array(numbers).transpose(2, 0, 1)


def _reach(tiles: Sequence[Tile]) -> int:
    return max(tile.stop for tile in tiles) - min(tile.start for tile in tiles)


def _along(tile: Tile, reads: Reads, axis: int) -> tuple[int, int, int, int, int]:
    """Of one part along one axis; see `Side.parts`."""
    wanted, read = tile.last - tile.first, tile.stop - tile.start
    pixels = read + max(0, tile.before) + max(0, tile.after)
    bare = int(max(tile.before, tile.after) <= 0)
    if isinstance(reads, Enlargement):
        read += sum(shown_again(tile, reads))
        outputs, bare = read * reads.scale, int(read == tile.stop - tile.start)
        return outputs, outputs, bare, read, bare
    if isinstance(reads, Taps):  # along rows first, then along columns, each a sum of pixels put side by side
        return wanted, wanted, 0, wanted if axis == 0 else max(read + wanted, 2 * read - wanted), 0
    if isinstance(reads, Spread):
        zeros, _, _, outputs = transposed_padding(tile, reads)
        return outputs, outputs, int(zeros == 0), read + zeros, int(zeros == 0)
    equal = equal_padding(tile, reads)
    return (wanted if equal is None else equal[2]), wanted, int(equal is not None), pixels, bare
