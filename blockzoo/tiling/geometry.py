"""Where tiles lie: cuts on the output grid of a layer, carried back through its stride to the input. No tensors.

Along one axis, output o reads the inputs o s - p, ..., o s - p + d (k - 1). A tile that makes the outputs [first, last) owns the
inputs [first s, last s); what its outputs read beyond these is padding, also where the map goes on: tiles are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from blockzoo.core.errors import UsageError

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

    def wanted(self, first: int, last: int) -> tuple[int, int]:
        """Inputs [start, stop) that the outputs [first, last) read, padding included.

        start = first s - p, stop = (last - 1) s - p + d (k - 1) + 1.

        Examples:
            >>> Window(kernel=3, stride=2, before=1, after=1).wanted(2, 4)
            (3, 8)
        """
        start = first * self.stride - self.before
        return start, (last - 1) * self.stride - self.before + self.extent

    def carried(self, place: int) -> int:
        """A cut of the outputs, on the inputs."""
        return place * self.stride


@dataclass(frozen=True)
class Enlargement:
    """What an upsampling layer reads along one axis.

    Args:
        scale: outputs for each input.
        halo: inputs beside the nearest ones that interpolation reads: 0 nearest, 1 linear, 2 cubic.
    """

    scale: int
    halo: int = 0

    def wanted(self, first: int, last: int) -> tuple[int, int]:
        """Inputs [start, stop) that the outputs [first, last) read."""
        return first // self.scale - self.halo, -(-last // self.scale) + self.halo

    def carried(self, place: int) -> int:
        """A cut of the outputs, on the inputs."""
        return place // self.scale


@dataclass(frozen=True)
class Spread:
    """What a transposed convolution reads along one axis: input i adds to the outputs i s - p, ..., i s - p + d (k - 1).

    Args:
        kernel, stride, dilation: of the layer.
        before: padding, which is outputs cut off on the left, or above.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def extent(self) -> int:
        """Outputs from the first that an input adds to, to the last."""
        return self.dilation * (self.kernel - 1) + 1

    def wanted(self, first: int, last: int) -> tuple[int, int]:
        """Inputs [start, stop) that add to the outputs [first, last); at least one that begins no later than the first."""
        low, high = first + self.before, last - 1 + self.before
        return min(-(-(low - self.extent + 1) // self.stride), low // self.stride), high // self.stride + 1

    def carried(self, place: int) -> int:
        """A cut of the outputs, on the inputs."""
        return place // self.stride

    def made(self, start: int, stop: int) -> tuple[int, int]:
        """Outputs [first, last) that the inputs [start, stop) add to, those that are cut off too."""
        first = start * self.stride - self.before
        return first, first + (stop - start - 1) * self.stride + self.extent


@dataclass(frozen=True)
class Taps:
    """What an interpolation of any scale reads along one axis.

    Args:
        taps: for each output the inputs that it reads, in order, each with its weight.
        size: inputs.
    """

    taps: tuple[tuple[tuple[int, float], ...], ...]
    size: int

    @property
    def most(self) -> int:
        """Inputs of the output that reads most."""
        return max(map(len, self.taps))

    def wanted(self, first: int, last: int) -> tuple[int, int]:
        """Inputs [start, stop) that the outputs [first, last) read."""
        chosen = self.taps[first:last]
        return min(taps[0][0] for taps in chosen), max(taps[-1][0] for taps in chosen) + 1

    def carried(self, place: int) -> int:
        """A cut of the outputs, on the inputs."""
        return place * self.size // len(self.taps)


Reads = Window | Enlargement | Spread | Taps


class Tile(NamedTuple):
    """One tile along one axis.

    Args:
        first, last: the outputs it makes, [first, last).
        start, stop: the inputs it owns and reads, [start, stop).
        before, after: padding around these; where an input makes several outputs, outputs made that are cut off; of an
            interpolation whose every output is made in its own way, the place of the first.
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
        UsageError: a block that is no such number.
    """
    if block < (0 if blocking == "fixed" else 1):
        least = "0 (the whole map) or more" if blocking == "fixed" else "1 or more"
        raise UsageError(f"block {block}: {blocking} blocking takes {least}")
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
        block: see `cuts`.
        blocking: see `cuts`.

    Raises:
        UsageError: the map is smaller than the kernel.

    Examples:
        8 pixels in tiles of 4 under a convolution of kernel 3, stride 2, padding 1: each tile makes 2 outputs from its own 4
        inputs, and the pixel before them is padding, at the cut as at the border.

        >>> for tile in tiles(8, Window(kernel=3, stride=2, before=1, after=1), block=4):
        ...     print(tile)
        Tile(first=0, last=2, start=0, stop=4, before=1, after=0)
        Tile(first=2, last=4, start=4, stop=8, before=1, after=0)
    """
    outputs = window.outputs(size)
    if outputs < 1:
        raise UsageError(
            f"a map of {size} pixels is smaller than a kernel of {window.extent}, padding {window.before} and {window.after}"
        )
    places = cuts(outputs, window.stride, block, blocking)
    return [owned_tile(first, last, size, outputs, window) for first, last in pairwise(places)]


def owned_tile(first: int, last: int, size: int, outputs: int, reads: Reads) -> Tile:
    """The tile that makes the outputs [first, last) from its own inputs.

    Owned inputs, cut off where no output of the tile reads them; a border tile without any takes the last pixel.
    """
    return part_of_tile(first, last, owned(first, last, size, outputs, reads), reads)


def owned(first: int, last: int, size: int, outputs: int, reads: Reads) -> tuple[int, int]:
    """The inputs [start, stop) that belong to the tile with the outputs [first, last)."""
    start = min(reads.carried(first), size - 1)
    return start, size if last == outputs else max(start + 1, min(reads.carried(last), size))


def part_of_tile(first: int, last: int, own: tuple[int, int], reads: Reads, mirrored: bool = False) -> Tile:
    """Some outputs [first, last) of a tile that owns the inputs `own`: what they read of these, and the padding around.

    Args:
        first: the first of the outputs.
        last: the one behind the last of them.
        own: the inputs [start, stop) that the tile owns.
        reads: what the layer reads along this axis.
        mirrored: padding shows the tile's own pixels, which must be read too.
    """
    wanted_start, wanted_stop = reads.wanted(first, last)
    start = max(own[0], min(wanted_start, own[1] - 1))
    stop = max(start + 1, min(own[1], wanted_stop))
    if isinstance(reads, Enlargement):
        return Tile(first, last, start, stop, first - start * reads.scale, stop * reads.scale - last)
    if isinstance(reads, Taps):
        return Tile(first, last, start, stop, first, 0)
    if isinstance(reads, Spread):
        span = reads.made(start, stop)
        return Tile(first, last, start, stop, first - span[0], span[1] - last)
    if mirrored:
        before, after = start - wanted_start, wanted_stop - stop
        stop = min(own[1], max(stop, start + before + 1)) if before > 0 else stop
        start = max(own[0], min(start, stop - after - 1)) if after > 0 else start
    return Tile(first, last, start, stop, start - wanted_start, wanted_stop - stop)


def equal_padding(tile: Tile, window: Window) -> tuple[int, int, int] | None:
    """Padding equal on both sides that makes a tile's outputs, outputs that come before these, and all outputs made.

    A layer pads without a copy, but on both sides alike; outputs that are too many are cut off. None if no such padding does.
    """
    padding = max(tile.before, tile.after)
    if min(tile.before, tile.after) < 0 or padding > window.kernel // 2:
        return None
    before, rest = divmod(padding - tile.before, window.stride)
    outputs = (tile.stop - tile.start + 2 * padding - window.extent) // window.stride + 1
    return (padding, before, outputs) if rest == 0 and outputs >= before + tile.last - tile.first else None


def transposed_padding(tile: Tile, reads: Spread) -> tuple[int, int, int, int]:
    """How a transposed convolution makes a tile's outputs: zeros behind its pixels, padding equal on both sides, output padding,
    and outputs made, of which those of the tile are not the first where more come before.

    Zeros are needed where outputs are wanted that no pixel of the tile adds to, more of them than output padding may make.
    """
    most = max(reads.stride, reads.dilation) - 1
    zeros = max(0, -(-(-tile.after - most) // reads.stride))
    after = tile.after + zeros * reads.stride
    padding = max(0, min(tile.before, after + most))
    more = max(0, padding - after)
    first, last = reads.made(tile.start, tile.stop + zeros)
    return zeros, padding, more, last - first - 2 * padding + more


def shown_again(tile: Tile, reads: Enlargement) -> tuple[int, int]:
    """How often a tile shows its first and its last pixel once more, for want of neighbours that its outputs lie in: these are of
    another tile where a cut of the outputs lies within a pixel.
    """
    return -(min(0, tile.before) // reads.scale), -(min(0, tile.after) // reads.scale)


def parts(
    first: int, last: int, places: Sequence[int], size: int, reads: Reads, mirrored: bool = False
) -> list[Tile]:
    """The outputs [first, last) of a layer that is itself cut at `places` (0, ..., outputs), one part for each of its tiles."""
    pieces = []
    for a, b in pairwise(places):
        low, high = max(a, first), min(b, last)
        if low < high:
            pieces.append(part_of_tile(low, high, owned(a, b, size, places[-1], reads), reads, mirrored))
    return pieces


STRIPS = 4


def strips(tile: Tile, reads: Reads) -> list[Tile]:
    """A tile as at most four that follow one another and together read and make what it does."""
    count = min(STRIPS, (tile.last - tile.first) // STRIPS)
    if count < 2:
        return [tile]
    places = [tile.first + round(i * (tile.last - tile.first) / count) for i in range(count + 1)]
    return [part_of_tile(a, b, (tile.start, tile.stop), reads) for a, b in pairwise(places)]


def pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """One number for both axes, or rows and columns.

    Raises:
        UsageError: neither.
    """
    values = (value, value) if isinstance(value, int) else tuple(value)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise UsageError(f"{name} {value!r}: give one whole number, or two for rows and columns")
    return values[0], values[1]
