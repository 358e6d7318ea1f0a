"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from .conv import BlockConv2d as BlockConv2d
from .convert import ConversionReport as ConversionReport
from .convert import block_convert as block_convert
from .executor import TiledRunner as TiledRunner
from .export import export_onnx as export_onnx
from .memory import peak_memory as peak_memory
from .networks import block_network as block_network
from .offchip import traffic as traffic
from .onnx_fuse import Fusing as Fusing
from .onnx_fuse import fuse_onnx as fuse_onnx
from .planner import pareto as pareto
from .planner import plan as plan
from .pool import BlockAvgPool2d as BlockAvgPool2d
from .pool import BlockMaxPool2d as BlockMaxPool2d
from .quantise import quantise_onnx as quantise_onnx
from .steps import Plan as Plan
