"""Where tiles lie: cuts on the output grid of a layer, carried back through its stride to the input. No tensors.

Along one axis, output o reads the inputs o s - p, ..., o s - p + d (k - 1). A tile that makes the outputs [first, last) owns the
inputs [first s, last s); what its outputs read beyond these is padding, also where the map goes on: tiles are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from blockzoo.core.errors import RequestError

Blocking = Literal["fixed", "hierarchical"]
BLOCKINGS = ("fixed", "hierarchical")


@dataclass(frozen=True)
class Window:
    """What a layer reads along one axis: kernel size, stride, dilation, and padding before the first input.

    Args:
        kernel, stride, dilation: of the layer.
        before: padding on the left, or above.
        after: padding on the right, or below.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> int:
        """Inputs from the first that an output reads to the last."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, size: int) -> int:
        """How many outputs a map of `size` inputs gives."""
        return (size + self.before + self.after - self.extent) // self.stride + 1


@dataclass(frozen=True)
class Tile:
    """One tile along one axis.

    Args:
        first, last: the outputs it makes, [first, last).
        start, stop: the inputs it owns and reads, [start, stop).
        before, after: padding around these.
    """

    first: int
    last: int
    start: int
    stop: int
    before: int
    after: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Inputs and padding: tiles of one shape can be computed together."""
        return self.stop - self.start, self.before, self.after


def cuts(outputs: int, stride: int, block: int, blocking: Blocking) -> list[int]:
    """Where the outputs of one axis are cut: 0, ..., outputs.

    Args:
        outputs: of the layer along this axis.
        stride: of the layer.
        block: "fixed": inputs per tile, 0 for the whole map; "hierarchical": number of tiles, at most one per output.
        blocking: which of the two.

    Raises:
        RequestError: a block that is no such number.
    """
    if block < (0 if blocking == "fixed" else 1):
        least = "0 (the whole map) or more" if blocking == "fixed" else "1 or more"
        raise RequestError(f"block {block}: {blocking} blocking takes {least}")
    if blocking == "hierarchical":
        count = min(block, outputs)
        return sorted({round(i * outputs / count) for i in range(count + 1)})
    if block == 0:
        return [0, outputs]
    inner = range(block, outputs * stride, block)
    return sorted({0, *(min(-(-place // stride), outputs) for place in inner), outputs})


def tiles(size: int, window: Window, block: int, blocking: Blocking = "fixed") -> list[Tile]:
    """The tiles of one axis of a layer.

    Args:
        size: inputs along the axis.
        window: of the layer.
        block, blocking: see `cuts`.

    Raises:
        RequestError: the map is smaller than the kernel.
    """
    outputs = window.outputs(size)
    if outputs < 1:
        raise RequestError(
            f"a map of {size} pixels is smaller than a kernel of {window.extent}, padding {window.before} and {window.after}"
        )
    places = cuts(outputs, window.stride, block, blocking)
    return [owned_tile(first, last, size, outputs, window) for first, last in pairwise(places)]


def owned_tile(first: int, last: int, size: int, outputs: int, window: Window) -> Tile:
    """The tile that makes the outputs [first, last) from its own inputs.

    Owned inputs, cut off where no output of the tile reads them; a border tile without any takes the last pixel.
    """
    start = min(first * window.stride, size - 1)
    owned = size if last == outputs else min(last * window.stride, size)
    wanted_start = first * window.stride - window.before
    wanted_stop = (last - 1) * window.stride - window.before + window.extent
    stop = max(start + 1, min(owned, wanted_stop))
    return Tile(first, last, start, stop, start - wanted_start, wanted_stop - stop)


def pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """One number for both axes, or rows and columns.

    Raises:
        RequestError: neither.
    """
    values = (value, value) if isinstance(value, int) else tuple(value)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise RequestError(f"{name} {value!r}: give one whole number, or two for rows and columns")
    return values[0], values[1]
