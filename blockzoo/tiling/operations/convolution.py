"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.tiling.contracts import (
    OPERATIONS,
    PICTURE,
    Call,
    Example,
    Kernel,
    Locality,
    MakeLayer,
    TileableOperation,
)
from blockzoo.tiling.geometry import Window
from blockzoo.tiling.graph.identity import is_known
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.layers.convolutions import made_convolution
from blockzoo.tiling.operations.windows import Padding, own_cuts, window_of_node, windowed, write_window

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile


@OPERATIONS.register("convolution")
class Convolution(TileableOperation):
    """A convolution, grouped or dilated, with any padding; blocked ones keep their tiles."""

    layers: Mapping[str, MakeLayer] = {"conv2d": made_convolution, "padded_convolution": made_convolution}
    functions = layers
    whole = (BlockConv2d,)
    nodes: Mapping[str, int] = {"Conv": 1, "QLinearConv": 3}
    """And which of their inputs the weights are."""

    def locality(self, call: Call) -> Locality | None:
        layer = call.layer
        if not isinstance(layer, nn.Conv2d) or not is_known(layer):
            return None
        if call.axes[0] != PICTURE:
            return call.whole("a convolution on channels that come last")
        if isinstance(layer, BlockConv2d):
            if layer.stride_mode == "maxpool" and layer.stride != (1, 1):
                return call.whole("its stride is a max-pool after the convolution")
            own = own_cuts(call, layer.windows(), layer.block_size, layer.blocking)
            return Locality.window(*layer.windows(), own=own, padding=layer.padding_mode, counted=True)
        if layer.padding_mode != "zeros":
            return call.whole(f"padding {layer.padding_mode} of a convolution that is not blocked")
        return Locality.window(*windows_of_convolution(layer), counted=True)

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        return windowed(operation, convolution_kernel(operation.payload.layer))

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        weight = call.constant(self.nodes[call.kind])
        if weight is None:
            return call.whole("a convolution whose weights are computed")
        return window_of_node(call, tuple(weight.dims[2:]))

    def macs_of_node(self, call: NodeCall) -> int:
        weight = call.constant(self.nodes[call.kind])
        return 0 if weight is None else prod(call.shape) * prod(weight.dims[1:])

    def write_tile(self, tile: NodeTile) -> None:
        write_window(tile)

    def examples(self) -> Mapping[str, Example]:
        return {
            "padded": nn.Conv2d(4, 4, 3, padding=1),
            "strided, even kernel": nn.Conv2d(4, 4, (2, 4), (2, 3)),
            "dilated, in groups": nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2),
            "padded on one side": nn.Sequential(nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(4, 4, 3)),
        }


def windows_of_convolution(layer: nn.Conv2d) -> tuple[Window, Window]:
    """What a convolution reads along rows and columns."""
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    rows, columns = (
        Window(kernel, stride, dilation, before, after)
        for kernel, stride, dilation, (before, after) in zip(
            layer.kernel_size, layer.stride, layer.dilation, ((top, bottom), (left, right)), strict=True
        )
    )
    return rows, columns


def convolution_kernel(layer: nn.Conv2d) -> Callable[[torch.Tensor, Padding], torch.Tensor]:
    """A convolution of a map and its padding; on a CPU in fp32 its weights are laid out for oneDNN once.

    A ReLU behind it is a pass of its own: oneDNN's would be part of this one, and turns NaN into 0.
    """
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    stride, dilation, groups = list(layer.stride), list(layer.dilation), layer.groups

    def plain(x: torch.Tensor, padding: Padding) -> torch.Tensor:
        return F.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, groups)

    if not (
        weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    ):
        return plain
    own = torch.ops.mkldnn
    laid_out = own._reorder_convolution_weight(
        weight, [k // 2 for k in layer.kernel_size], stride, dilation, groups, None
    )

    def kernel(x: torch.Tensor, padding: Padding) -> torch.Tensor:
        if x.dtype != weight.dtype or torch.is_autocast_enabled("cpu"):
            return plain(x, padding)  # casts, or says what is wrong
        output: torch.Tensor = own._convolution_pointwise(
            x, laid_out, bias, list(padding), stride, dilation, groups, "none", [], ""
        )
        return output

    return kernel
