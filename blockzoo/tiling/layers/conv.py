"""Block convolution: the feature map is cut into tiles, and each is convolved by itself, padded at its own borders.

Source: Li et al., Block convolution: towards memory-efficient inference of large-scale CNNs on FPGA, TCAD 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import BLOCKINGS, Blocking, Tile, Window, pair, tiles

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

PaddingMode = Literal["constant", "zeros", "replicate", "reflect"]
StrideMode = Literal["native", "maxpool"]
PADDING_MODES = ("constant", "zeros", "replicate", "reflect")
STRIDE_MODES = ("native", "maxpool")


class BlockConv2d(nn.Conv2d):
    """A convolution whose tiles do not see each other; parameters and state_dict are those of nn.Conv2d.

    Input (N, C, H, W) or (C, H, W), output as that of nn.Conv2d: sizes that do not divide give uneven tiles, cut on the output
    grid. With one tile the result is that of nn.Conv2d.

    Args:
        in_channels: as for nn.Conv2d.
        out_channels: as for nn.Conv2d.
        kernel_size: as for nn.Conv2d.
        block_size: with `blocking="fixed"` input pixels of a tile, 28 or (28, 14), 0 for the whole map; with "hierarchical"
            the number of tiles, 4 or (4, 2).
        blocking: which of the two.
        stride: as for nn.Conv2d.
        padding: as for nn.Conv2d.
        dilation: as for nn.Conv2d.
        groups: as for nn.Conv2d.
        bias: as for nn.Conv2d.
        padding_mode: what stands around each tile, also at the border of the map: zeros ("constant" is the same), the border
            pixels ("replicate"), or a mirror image ("reflect").
        stride_mode: "native", or "maxpool": a stride-1 block convolution, then max-pooling by the stride, as earlier networks
            were trained.

    Raises:
        UsageError: an option that there is not; in `forward`, tiles too small for their padding.

    Examples:
        A sum over 3 x 3 pixels in tiles of 2 x 2: each output sees the 4 pixels of its own tile, and zeros around them.

        >>> sums = BlockConv2d(1, 1, 3, block_size=2, padding=1, bias=False).requires_grad_(False)
        >>> sums.weight.fill_(1.0).shape
        torch.Size([1, 1, 3, 3])
        >>> sums(torch.ones(1, 1, 4, 4))[0, 0]
        tensor([[4., 4., 4., 4.],
                [4., 4., 4., 4.],
                [4., 4., 4., 4.],
                [4., 4., 4., 4.]])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        block_size: int | Sequence[int] = 28,
        blocking: Blocking = "fixed",
        stride: int | tuple[int, int] = 1,
        padding: int | str | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "constant",
        stride_mode: StrideMode = "native",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_blocking(blocking, padding_mode, stride_mode)
        own = "zeros" if padding_mode == "constant" else padding_mode
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            own,
            device,
            dtype,
        )
        self.block_size = pair(block_size, "block size")
        self.blocking, self.stride_mode = blocking, stride_mode

    @classmethod
    def of(
        cls,
        conv: nn.Conv2d,
        block_size: int | Sequence[int],
        blocking: Blocking = "fixed",
        padding_mode: PaddingMode = "constant",
        stride_mode: StrideMode = "native",
    ) -> BlockConv2d:
        """A block convolution that shares the parameters of an ordinary one."""
        blocked = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            block_size,
            blocking,
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            padding_mode,
            stride_mode,
            device="meta",
        )
        blocked.weight, blocked.bias = conv.weight, conv.bias
        return blocked.train(conv.training)

    def windows(self, stride: Sequence[int] | None = None) -> tuple[Window, Window]:
        """What the layer reads along rows and columns."""
        left, right, top, bottom = self._reversed_padding_repeated_twice
        strides = stride or self.stride
        rows, columns = (
            Window(k, s, d, before, after)
            for k, s, d, (before, after) in zip(
                self.kernel_size, strides, self.dilation, ((top, bottom), (left, right)), strict=True
            )
        )
        return rows, columns

    def forward(self, input: Float[torch.Tensor, "*N C H W"]) -> Float[torch.Tensor, "*N C_out H_out W_out"]:
        pooled = self.stride_mode == "maxpool" and self.stride != (1, 1)
        stride = (1, 1) if pooled else self.stride
        rows, columns = (
            tiles(size, window, block, self.blocking)
            for size, window, block in zip(
                input.shape[-2:], self.windows(stride), self.block_size, strict=True
            )
        )
        batched = input if input.ndim == 4 else input[None]

        def convolve(part: torch.Tensor) -> torch.Tensor:
            return F.conv2d(part, self.weight, self.bias, stride, 0, self.dilation, self.groups)

        output = over_tiles(batched, rows, columns, convolve, self.padding_mode)
        if pooled:
            output = F.max_pool2d(output, self.stride)
        return output if input.ndim == 4 else output[0]

    def extra_repr(self) -> str:
        text = f"{super().extra_repr()}, block_size={self.block_size}, blocking={self.blocking}"
        return text if self.stride_mode == "native" else f"{text}, stride_mode={self.stride_mode}"


def over_tiles(
    x: Shaped[torch.Tensor, "N C H W"],
    rows: Sequence[Tile],
    columns: Sequence[Tile],
    layer: Callable[[torch.Tensor], torch.Tensor],
    padding_mode: str = "zeros",
    value: float = 0.0,
) -> Shaped[torch.Tensor, "N C_out H_out W_out"]:
    """Run a layer without padding of its own over every tile, tiles of one shape together, and put the outputs in place.

    Args:
        x: (N, C, H, W).
        rows: the tiles along rows.
        columns: the tiles along columns.
        layer: from (n, C, h, w) to (n, C', h', w').
        padding_mode: what stands around each tile.
        value: of zeros padding (minus infinity for max-pools).
    """
    check_padding(rows, columns, padding_mode)
    grid: list[list[torch.Tensor]] = [[x] * len(columns) for _ in rows]
    groups: dict[Any, list[tuple[int, int]]] = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            groups.setdefault((row.shape, column.shape), []).append((i, j))
    own = [_pieces(line, columns, -1) for line in _pieces(x, rows, -2)]
    for ((_, top, bottom), (_, left, right)), places in groups.items():
        parts = [own[i][j] for i, j in places]
        stacked = parts[0] if len(parts) == 1 else torch.cat(parts)
        outputs = layer(padded(stacked, (left, right, top, bottom), padding_mode, value))
        maps = [outputs] if len(places) == 1 else outputs.split(len(x))  # a split cannot be changed in place
        for (i, j), output in zip(places, maps, strict=True):
            grid[i][j] = output
    lines = [line[0] if len(line) == 1 else torch.cat(line, dim=-1) for line in grid]
    return lines[0] if len(lines) == 1 else torch.cat(lines, dim=-2)


def _pieces(x: torch.Tensor, parts: Sequence[Tile], dim: int) -> Sequence[torch.Tensor]:
    """What each tile reads along one axis: by a split, whose gradient is one concatenation, where tiles leave nothing out.

    The gradient of a slice is a map of zeros with one tile in it: with many tiles that took longer than the convolutions.
    """
    sizes = [part.stop - part.start for part in parts]
    if parts[0].start or any(one.stop != other.start for one, other in pairwise(parts)):
        return [x.narrow(dim, part.start, size) for part, size in zip(parts, sizes, strict=True)]
    rest = x.shape[dim] - parts[-1].stop
    split: Sequence[torch.Tensor] = x.split([*sizes, rest], dim)
    return split[:-1]


def padded(
    x: Shaped[torch.Tensor, "N C H W"], sides: Sequence[int], padding_mode: str, value: float = 0.0
) -> Shaped[torch.Tensor, "N C H_out W_out"]:
    """x with (left, right, top, bottom) more pixels."""
    if not any(sides):
        return x
    if padding_mode in ("zeros", "constant"):
        return F.pad(x, sides, value=value)
    return F.pad(x, sides, mode=padding_mode)


def check_padding(rows: Sequence[Tile], columns: Sequence[Tile], padding_mode: str) -> None:
    """A mirror image needs more pixels than it shows.

    Raises:
        UsageError: names the tile and the remedy.
    """
    if padding_mode != "reflect":
        return
    for axis, parts in (("high", rows), ("wide", columns)):
        for tile in parts:
            size, *sides = tile.shape
            if max(sides) >= size:
                raise UsageError(
                    f"a tile {size} pixels {axis} cannot be padded by {max(sides)} mirrored ones: "
                    "choose larger tiles, or padding replicate or constant"
                )


def check_blocking(blocking: str, padding_mode: str, stride_mode: str = "native") -> None:
    """Check kernel, stride and padding.

    Raises:
        UsageError: all faults at once.
    """
    faults = [
        f"{name} {value!r}: choose {', '.join(choices)}"
        for name, value, choices in (
            ("blocking", blocking, BLOCKINGS),
            ("padding mode", padding_mode, PADDING_MODES),
            ("stride mode", stride_mode, STRIDE_MODES),
        )
        if value not in choices
    ]
    if faults:
        raise UsageError("; ".join(faults))
