"""tiling: run CNNs on spatial tiles, in a fraction of the memory."""

from __future__ import annotations

from blockzoo.core.lazy import lazy_names

_PUBLIC = {
    "BlockConv2d": ".conv",
    "BlockMaxPool2d": ".pool",
    "BlockAvgPool2d": ".pool",
    "block_convert": ".convert",
    "ConversionReport": ".convert",
    "block_network": ".networks",
    "Plan": ".steps",
    "plan": ".planner",
    "pareto": ".planner",
    "TiledRunner": ".executor",
    "traffic": ".offchip",
    "export_onnx": ".export",
    "fuse_onnx": ".onnx_fuse",
    "Fusing": ".onnx_fuse",
    "quantise_onnx": ".quantise",
    "peak_memory": "blockzoo.measure.memory",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
