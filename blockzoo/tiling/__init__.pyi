"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from .layers.conv import BlockConv2d as BlockConv2d
from .layers.convert import ConversionReport as ConversionReport
from .layers.convert import block_convert as block_convert
from .layers.networks import block_network as block_network
from .layers.pool import BlockAvgPool2d as BlockAvgPool2d
from .layers.pool import BlockMaxPool2d as BlockMaxPool2d
from .onnx.export import export_onnx as export_onnx
from .onnx.fuse import Fusing as Fusing
from .onnx.fuse import fuse_onnx as fuse_onnx
from .onnx.quantise import quantise_onnx as quantise_onnx
from .planning.memory import peak_memory as peak_memory
from .planning.options import Planning as Planning
from .planning.plan import Plan as Plan
from .planning.planner import pareto as pareto
from .planning.planner import plan as plan
from .planning.traffic import traffic as traffic
from .runtime.runner import TiledRunner as TiledRunner
