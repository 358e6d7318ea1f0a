"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from . import blockwise as blockwise
from . import nas as nas
from . import tiling as tiling
from .benchmark import Benchmark as Benchmark
from .benchmark import benchmark_block as benchmark_block
from .benchmark import benchmark_model as benchmark_model
from .benchmark import quick_benchmark as quick_benchmark
from .core.result import Result as Result
from .core.result import load_result as load_result
from .measure.benchmarked import OperationBenchmark as OperationBenchmark
from .models.scaffold import ScaffoldNet as ScaffoldNet
from .operations import OperationProfile as OperationProfile
from .operations import benchmark_operations as benchmark_operations
from .operations import profile_operations as profile_operations
from .profile import Profile as Profile
from .profile import get_model_profile as get_model_profile
from .profile import profile_block as profile_block
from .profile import quick_profile as quick_profile
from .sweep import SweepResult as SweepResult
from .sweep import run_sweep as run_sweep
from .testing import check_block as check_block
from .train import Trained as Trained
from .train import train_block as train_block
from .visualize import plot_results as plot_results
from .wrappers import BLOCK_REGISTRY as BLOCK_REGISTRY
from .wrappers import get_block_class as get_block_class
from .wrappers import list_available_blocks as list_available_blocks
from .wrappers import register_block as register_block

__version__: str
