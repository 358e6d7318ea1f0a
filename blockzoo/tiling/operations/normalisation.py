"""Norms over the channels of each pixel; those over rows and columns no tile goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.tiling.contracts import LAST, OPERATIONS, PICTURE, Call, Example, Locality, TileableOperation

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.tiling.onnx.nodes import NodeCall


@OPERATIONS.register("batch-norm")
class BatchNorm(TileableOperation):
    """A batch norm with the statistics that it keeps."""

    functions = ("batch_norm",)
    nodes = ("BatchNormalization",)

    def locality(self, call: Call) -> Locality | None:
        if call.axes[0] != PICTURE:
            return None
        if bool(call.option("training", 5, False)):
            return call.whole("a batch norm with the statistics of its input")
        return Locality.pointwise()

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return Locality.pointwise()

    def examples(self) -> Mapping[str, Example]:
        return {"after a ReLU": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))}


@OPERATIONS.register("layer-norm")
class LayerNorm(TileableOperation):
    """A layer norm over channels that come last."""

    functions = ("layer_norm",)

    def locality(self, call: Call) -> Locality | None:
        alone = call.axes[0] == LAST and len(call.option("normalized_shape", 1)) == 1
        return Locality.pointwise(LAST) if alone else None

    def examples(self) -> Mapping[str, Example]:
        return {"over channels": ChannelsLast(nn.LayerNorm(4))}


class ChannelsLast(nn.Module):
    """A layer on channels that come last, between two turns."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[torch.Tensor, "N C H W"]) -> Float[torch.Tensor, "N C H W"]:
        """(N, C, H, W), as its input."""
        turned: torch.Tensor = self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return turned
