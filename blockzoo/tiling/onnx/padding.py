"""What stands around a tile of a layer in an ONNX file: padding before and behind, and outputs that are cut off."""

from __future__ import annotations

from blockzoo.tiling.geometry import Reads, Spread, Tile, Window, transposed_padding

Span = tuple[int, int]


def zeros_of(tile: Tile, reads: Reads) -> Span:
    """Put before and behind the pixels of a tile, so that a transposed convolution makes outputs that none of them adds to."""
    return 0, transposed_padding(tile, reads)[0] if isinstance(reads, Spread) else 0


def pads_of(tile: Tile, reads: Reads) -> tuple[Span, int, int]:
    """Padding before and after that makes a tile's outputs, how many outputs come before these, and how many it makes."""
    if isinstance(reads, Spread):  # outputs that are cut off; too few are made up for by output padding
        after = tile.after + zeros_of(tile, reads)[1] * reads.stride
        return (tile.before, after), 0, tile.last - tile.first
    assert isinstance(reads, Window)
    more = -(-max(0, -tile.before) // reads.stride)
    before, after = tile.before + more * reads.stride, max(0, tile.after)
    made = (tile.stop - tile.start + before + after - reads.extent) // reads.stride + 1
    return (before, after), more, made
