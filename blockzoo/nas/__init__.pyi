"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from . import dataset as dataset
from . import graph_utils as graph_utils
from . import io as io
from . import search_space as search_space
from .beside import BenchmarkingDataset as BenchmarkingDataset
from .beside import EnvInfoDataset as EnvInfoDataset
from .beside import StaticInfoDataset as StaticInfoDataset
from .costs import Skeleton as Skeleton
from .costs import static_info as static_info
from .dataset import Dataset as Dataset
from .graphs import graph_of as graph_of
from .graphs import hash_of_graph as hash_of_graph
from .io import read_dataset_file as read_dataset_file
from .io import write_dataset_file as write_dataset_file
from .loading import from_folder as from_folder
from .loading import load as load
from .networks import build as build
from .ranking import hypervolume as hypervolume
from .ranking import pareto_front as pareto_front
from .search_space import get_model_hash as get_model_hash
from .search_space import get_random_architectures as get_random_architectures
from .search_space import get_unique_architectures as get_unique_architectures
from .space import MacroSpace as MacroSpace

__version__: str
