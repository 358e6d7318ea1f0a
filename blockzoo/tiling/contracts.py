"""The door of operations that tiles go through: the contract, what it is told, what it says. No torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from blockzoo.core.registry import Registry
from blockzoo.tiling.geometry import Reads, Tile
from blockzoo.tiling.graph.network import SAME, Kind, Operation

if TYPE_CHECKING:
    import torch
    from torch import fx, nn

    from blockzoo.tiling.graph.payload import Payload
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile

Axes = tuple[int, int]
PICTURE: Axes = (2, 3)
"""Which dimensions are rows and columns: here of (N, C, H, W)."""
LAST: Axes = (1, 2)
"""With channels last: of (N, H, W, C)."""
Kernel: TypeAlias = "Callable[[torch.Tensor, Tile, Tile], torch.Tensor]"
"""From what a tile reads, (N, C, rows, columns), and its place along rows and along columns, to what it makes."""
MakeLayer: TypeAlias = "Callable[[dict[str, Any]], nn.Module]"
"""Makes the layer that does what a function does with these options, weights among them."""
Example: TypeAlias = "nn.Module | Callable[[torch.Tensor], Any]"
"""A function of a map (1, 4, 12, 10)."""


@dataclass(frozen=True)
class Locality:
    """What an operation reads of its maps: see `graph.network.Operation`.

    Args:
        kind, axes, windows, own, padding, indices, counts, reason: as there.
        counted: what it needs for a moment besides follows from its tiles (padding that is copied, indices, counts); otherwise it
            is measured on the whole map, and a tile needs its share.
    """

    kind: Kind
    axes: Axes | None = None
    windows: tuple[Reads, Reads] = (SAME, SAME)
    own: tuple[list[int], list[int]] | None = None
    padding: str = "zeros"
    indices: bool = False
    counts: bool = False
    counted: bool = False
    reason: str = ""

    @classmethod
    def window(cls, rows: Reads, columns: Reads, **others: Any) -> Locality:
        """An output reads its neighbours, in maps (N, C, H, W)."""
        return cls("window", PICTURE, (rows, columns), **others)

    @classmethod
    def pointwise(cls, axes: Axes | None = PICTURE) -> Locality:
        """An output reads the pixel below it."""
        return cls("pointwise", axes)

    @classmethod
    def whole(cls, shape: tuple[int, ...], reason: str) -> Locality:
        """No tile goes through it; if it makes four dimensions, they are taken as (N, C, H, W)."""
        return cls("whole", PICTURE if len(shape) == 4 else None, reason=reason)


@dataclass(frozen=True)
class Call:
    """An operation as the trace shows it.

    Args:
        what: the name of its function, method or class, in small letters.
        layer: the module, where it is one.
        args, kwargs: tensors stand in them as `meta` tensors.
        shapes: of the maps it reads, in order.
        axes: of these.
        others: shapes of the tensors that are no maps.
        output: what it returns, on the meta device.
    """

    what: str
    layer: nn.Module | None
    args: Sequence[Any]
    kwargs: dict[str, Any]
    shapes: list[tuple[int, ...]]
    axes: list[Axes]
    others: list[tuple[int, ...]]
    output: Any

    def option(self, name: str, place: int, default: object = None) -> Any:
        """An argument by its name, or its place."""
        return self.kwargs[name] if name in self.kwargs else (*self.args, *[default] * 9)[place]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a tensor that it returns; () where it returns something else."""
        return tuple(getattr(self.output, "shape", ()))

    def whole(self, reason: str) -> Locality:
        """No tile goes through it."""
        return Locality.whole(self.shape, reason)


@dataclass(frozen=True)
class InPlace:
    """A form of a function that writes over one of its operands.

    Args:
        write: given that operand and then the other arguments.
        operands: how many of the first ones it may be.
    """

    write: Callable[..., Any]
    operands: int = 1


class TileableOperation:
    """An operation that tiles go through: what it reads, what makes a tile, what it may write over, what it is in an ONNX file.

    Made without arguments; one object stands for all its calls. A function or node belongs to one operation.

    Has:
        functions: names of the functions of torch that it is, in small letters, without overload ("max_pool2d"); of others with
            their library ("mine.erosion").
        layers: those of them that are run as layers, and what makes these.
        whole: classes of layers that are this operation, whatever they do inside. They take one map and make one.
        in_place: those of its functions that can write over an operand.
        nodes: operators of ONNX that it is in a file.
        in_place_nodes: those of them that ONNX Runtime lets write over an operand of the output's size.
    """

    functions: Collection[str] = ()
    layers: Mapping[str, MakeLayer] = {}
    whole: Collection[type[nn.Module]] = ()
    in_place: Mapping[str, InPlace] = {}
    nodes: Collection[str] = ()
    in_place_nodes: Collection[str] = ()

    def locality(self, call: Call) -> Locality | None:
        """What a call reads; None where it is not local."""
        return None

    def payload(self, name: str, node: fx.Node) -> Payload | None:
        """What executes a call, where that is not the function itself."""
        return None

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        """What makes a tile, of an operation that reads neighbours (kind "window"); weights may be laid out here, once.

        Args:
            operation: as it was traced; its `payload` executes it on whole maps.
            size: rows and columns of the whole map that is read.
        """
        raise NotImplementedError(f"{type(self).__name__} reads neighbours, so it needs a kernel")

    def translations(self) -> Mapping[Any, Callable[..., Any]]:
        """Functions of onnxscript for overloads (`torch.ops.mine.erosion.default`) that torch's exporter does not know."""
        return {}

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        """What a node of a file reads; None where it is not local."""
        return None

    def macs_of_node(self, call: NodeCall) -> int:
        """Multiply-adds of the whole map."""
        return 0

    def write_tile(self, tile: NodeTile) -> None:
        """Write the node of one tile, which reads what the tile reads."""
        tile.nodes.nodes.append(tile.node)

    def examples(self) -> Mapping[str, Example]:
        """By name, what the tests over the registry run whole, in tiles, in place and as a file."""
        return {}


OPERATIONS: Registry[type[TileableOperation]] = Registry(
    "OPERATIONS", "tileable operation", methods=("locality", "kernel")
)
