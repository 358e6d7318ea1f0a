"""Nodes that are written into an ONNX model one after the other, and the bytes of what each of them makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.tiling.onnx.files import needed

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


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
        made = np.array(numbers, kind).reshape(shape)
        name = f"tile:{kind.__name__}{made.shape}:" + ",".join(map(str, numbers))
        self.constants[name] = self.onnx.numpy_helper.from_array(made, name)
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
