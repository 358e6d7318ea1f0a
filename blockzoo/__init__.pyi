"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from .benchmark import benchmark_block as benchmark_block
from .benchmark import benchmark_model as benchmark_model
from .benchmark import quick_benchmark as quick_benchmark
from .models.scaffold import ScaffoldNet as ScaffoldNet
from .operations import benchmark_operations as benchmark_operations
from .operations import profile_operations as profile_operations
from .profile import get_model_profile as get_model_profile
from .profile import profile_block as profile_block
from .profile import quick_profile as quick_profile
from .sweep import run_sweep as run_sweep
from .train import train_block as train_block
from .visualize import plot_results as plot_results
from .wrappers import BLOCK_REGISTRY as BLOCK_REGISTRY
from .wrappers import get_block_class as get_block_class
from .wrappers import list_available_blocks as list_available_blocks
from .wrappers import register_block as register_block

__version__: str
