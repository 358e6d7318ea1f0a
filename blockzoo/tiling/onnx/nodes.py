"""Nodes of an ONNX model: one that is read, with what is known of its values; and those that are written one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.tiling.contracts import Locality
from blockzoo.tiling.geometry import Tile
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.onnx.files import needed

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


@dataclass(frozen=True)
class Value:
    """One tensor of a model.

    Args:
        shape: of it.
        item: bytes of one element.
    """

    shape: tuple[int, ...]
    item: int

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.item


@dataclass(frozen=True)
class NodeCall:
    """A node with what is known of its values.

    Args:
        node: of the model.
        values: of the model, by name.
        constants: tensors of the model, by name.
        maps: those of its sources that have rows and columns.
        others: sources that have none.
    """

    node: NodeProto
    values: Mapping[str, Value]
    constants: Mapping[str, TensorProto]
    maps: list[str]
    others: list[str]

    @property
    def kind(self) -> str:
        """Its operator."""
        return self.node.op_type

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes."""
        return self.values[self.node.output[0]].shape

    @cached_property
    def attributes(self) -> dict[str, Any]:
        onnx = needed("onnx")
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        """One of them."""
        return self.attributes.get(name, default)

    @property
    def automatic_padding(self) -> str:
        """`auto_pad`."""
        return (self.attribute("auto_pad") or b"NOTSET").decode()

    def constant(self, place: int) -> TensorProto | None:
        """The constant that it reads at this place; None where there is none."""
        name = self.node.input[place] if place < len(self.node.input) else ""
        return self.constants.get(name)

    def constant_values(self, place: int) -> list[Any] | None:
        """The numbers of that."""
        tensor = self.constant(place)
        return None if tensor is None else needed("onnx").numpy_helper.to_array(tensor).tolist()

    def whole(self, reason: str) -> Locality:
        """No tile goes through it."""
        return Locality.whole(self.shape, reason)


class Nodes:
    """A list of nodes with its constants.

    Has:
        nodes: in order.
        constants: tensors, by name.
        bytes: of what nodes make, by name.
    """

    def __init__(self) -> None:
        self.onnx = needed("onnx")
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.bytes: dict[str, int] = {}

    def add(self, kind: str, inputs: Iterable[str], output: str, size: int, **attributes: object) -> str:
        self.bytes[output] = size
        name = f"{kind}:{output}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def integers(self, numbers: Sequence[int]) -> str:
        return self.numbers(numbers, np.int64)

    def numbers(self, numbers: Sequence[float], kind: type[np.generic], shape: Sequence[int] = (-1,)) -> str:
        array = np.array(numbers, kind).reshape(shape)
        name = f"tile:{kind.__name__}{array.shape}:" + ",".join(map(str, numbers))
        self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def scalar(self, number: np.float32) -> str:
        name = f"tile:{number}"
        self.constants[name] = self.onnx.numpy_helper.from_array(np.array(number, np.float32), name)
        return name

    def cut_off(
        self, node: NodeProto, pixel: int, starts: Sequence[int], sizes: Sequence[int], larger: Sequence[int]
    ) -> None:
        """Rows and columns of what a node makes that are wanted, where it makes more."""
        (name,) = node.output
        if list(larger) == list(sizes):
            return
        node.output[:] = [f"{name}/more"]
        self.bytes[f"{name}/more"] = pixel * larger[0] * larger[1]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        inputs = [f"{name}/more", *(self.integers(v) for v in (list(starts), ends, [2, 3]))]
        self.add("Slice", inputs, name, pixel * sizes[0] * sizes[1])


@dataclass(frozen=True)
class NodeTile:
    """The node of one tile, as it is written.

    Args:
        nodes: where it is written to.
        node: a copy of the whole map's node that reads and makes what the tile does.
        operation: the whole map's.
        tiles: its place along rows and columns.
        pixel: bytes of one pixel of what it makes.
        padder: from pads and a mode to the padded source of the node.
    """

    nodes: Nodes
    node: NodeProto
    operation: Operation
    tiles: tuple[Tile, Tile]
    pixel: int
    padder: Callable[[Sequence[tuple[int, int]], str], str]

    @property
    def sizes(self) -> list[int]:
        """Rows and columns of what it makes."""
        return [tile.last - tile.first for tile in self.tiles]

    def pad(self, pads: Sequence[tuple[int, int]], mode: str = "constant") -> None:
        """Let the node read its first source with pixels before and behind it, along rows and columns."""
        self.node.input[0] = self.padder(pads, mode)

    def leave_out(self, *names: str) -> None:
        """Take attributes away."""
        kept = [attribute for attribute in self.node.attribute if attribute.name not in names]
        del self.node.attribute[:]
        self.node.attribute.extend(kept)

    def set(self, **attributes: Any) -> None:
        """Give the node attributes; none pads by itself any more."""
        self.leave_out("auto_pad", *attributes)
        make = self.nodes.onnx.helper.make_attribute
        self.node.attribute.extend(make(name, value) for name, value in attributes.items())
