"""Made-up operations in one file, as a plugin: the least of the pixels around, as a layer and as a function; and twice a map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.tiling.contracts import OPERATIONS, Call, InPlace, Kernel, Locality, TileableOperation
from blockzoo.tiling.geometry import Window
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.operations.windows import Padding, windowed


class Erosion(nn.Module):
    """The least of `size` x `size` pixels, every other one."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -F.max_pool2d(-x, self.size, 2, self.size // 2)


@torch.library.custom_op("made_up::erosion", mutates_args=())
def erosion(x: torch.Tensor, size: int) -> torch.Tensor:
    """The same as `Erosion`."""
    return -F.max_pool2d(-x, size, 2, size // 2)


@erosion.register_fake
def _(x: torch.Tensor, size: int) -> torch.Tensor:
    return -F.max_pool2d(-x, size, 2, size // 2)


@torch.library.custom_op("made_up::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    """Twice as much; there is no operation of ONNX for it."""
    return x * 2


@double.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


@OPERATIONS.register("erosion")
class ErosionInTiles(TileableOperation):
    """The least of the pixels around."""

    whole: Collection[type[nn.Module]] = (Erosion,)
    functions = ("made_up.erosion",)

    def locality(self, call: Call) -> Locality | None:
        size = call.layer.size if isinstance(call.layer, Erosion) else call.option("size", 1)
        window = Window(size, 2, 1, size // 2, size // 2)
        return Locality.window(window, window)

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        (window, _) = operation.windows
        assert isinstance(window, Window)
        side = window.kernel

        def least(x: torch.Tensor, padding: Padding) -> torch.Tensor:
            return F.max_pool2d(-x, side, 2, padding).neg_()

        return windowed(operation, least, float("inf"))

    def translations(self) -> Mapping[Any, Callable[..., Any]]:
        from onnxscript import opset18 as onnx

        def in_onnx(x: Any, size: int) -> Any:
            sides = {"kernel_shape": [size, size], "strides": [2, 2], "pads": [size // 2] * 4}
            largest, _ = onnx.MaxPool(onnx.Neg(x), **sides)
            return onnx.Neg(largest)

        return {torch.ops.made_up.erosion.default: in_onnx}


@OPERATIONS.register("double")
class Double(TileableOperation):
    """Twice as much, in place where nothing reads it afterwards."""

    functions = ("made_up.double",)
    in_place: Mapping[str, InPlace] = {"made_up.double": InPlace(lambda x: x.mul_(2))}

    def locality(self, call: Call) -> Locality | None:
        return Locality.pointwise(call.axes[0])
