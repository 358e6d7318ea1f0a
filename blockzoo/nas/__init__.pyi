"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from .benchmark import dataset as dataset
from .benchmark.beside import BenchmarkingDataset as BenchmarkingDataset
from .benchmark.beside import EnvInfoDataset as EnvInfoDataset
from .benchmark.beside import StaticInfoDataset as StaticInfoDataset
from .benchmark.best import hypervolume as hypervolume
from .benchmark.best import pareto_front as pareto_front
from .benchmark.dataset import Dataset as Dataset
from .benchmark.loading import from_folder as from_folder
from .benchmark.loading import load as load
from .files import io as io
from .files.io import read_dataset_file as read_dataset_file
from .files.io import write_dataset_file as write_dataset_file
from .search.objective import OptunaObjective as OptunaObjective
from .search.simulate import Comparison as Comparison
from .search.simulate import compare as compare
from .search.simulate import regret as regret
from .search.task import Ledger as Ledger
from .search.task import Query as Query
from .search.task import Task as Task
from .space import graph_utils as graph_utils
from .space import search_space as search_space
from .space.costs import Skeleton as Skeleton
from .space.costs import static_info as static_info
from .space.graphs import graph_of as graph_of
from .space.graphs import hash_of_graph as hash_of_graph
from .space.macro import MacroSpace as MacroSpace
from .space.search_space import get_model_hash as get_model_hash
from .space.search_space import get_random_architectures as get_random_architectures
from .space.search_space import get_unique_architectures as get_unique_architectures
from .training.networks import build as build
from .training.networks import with_doubled_input as with_doubled_input

__version__: str
