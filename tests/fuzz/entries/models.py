"""ONNX files, as `tile export` and `quantise` take them apart: with ONNX Runtime, on zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.tiling.onnx.files import saved
from blockzoo.tiling.onnx.fuse import layers_of
from tests.fuzz.formats import fuzzed


@fuzzed("ONNX file", floor=(4 << 30) + (64 << 20))
class Onnx:
    def write(folder: Path) -> Path:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        draw = np.random.default_rng(0)
        shapes = {"w": (4, 3, 3, 3), "b": (4,), "v": (3, 4), "c": (3,)}
        constants = [
            numpy_helper.from_array(draw.normal(size=s).astype(np.float32), n) for n, s in shapes.items()
        ]
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["m"], "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["m"], ["r"], "relu"),
            helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["p"], ["g"], "mean"),
            helper.make_node("Flatten", ["g"], ["f"], "flat"),
            helper.make_node("Gemm", ["f", "v", "c"], ["y"], "head", transB=1),
        ]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
        graph = helper.make_graph(nodes, "small", [x], [y], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        assert onnx
        return saved(model, folder / "small.onnx")

    def read(path: Path) -> Any:
        layers, model = layers_of(path)
        operations = [(o.name, o.kind, o.shape, o.macs, o.weights) for o in layers.network.operations]
        return operations, [t.raw_data for t in model.graph.initializer]
