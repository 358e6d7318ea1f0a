"""nas: the macro search space of block-built CNNs as a benchmark one can query, build, search and extend.

`import blockzoo.nas as blox` runs scripts written for the published benchmark. Names load on first use; only building and
training networks imports torch.

Examples:
    An index stands for one network. Its vector has two nodes a stage: [op], and [op, whether it reads node 1, whether it reads
    the cell's input, whether node 1 is also added to the cell's output].

    >>> from blockzoo.nas import MacroSpace
    >>> space = MacroSpace()
    >>> len(space)
    91125
    >>> space.arch_vec(12345)
    [[[0], [1, 1, 1, 0]], [[1], [1, 1, 0, 0]], [[0], [2, 1, 0, 0]]]
    >>> space.index([[[0], [1, 1, 1, 0]], [[1], [1, 1, 0, 0]], [[0], [2, 1, 0, 0]]])
    12345
"""

from __future__ import annotations

from blockzoo.core.lazy import lazy_names

_PUBLIC = {
    "from_folder": ".loading",
    "load": ".loading",
    "Dataset": ".dataset",
    "read_dataset_file": ".io",
    "write_dataset_file": ".io",
    "MacroSpace": ".space",
    "get_model_hash": ".search_space",
    "get_unique_architectures": ".search_space",
    "get_random_architectures": ".search_space",
    "BenchmarkingDataset": ".beside",
    "StaticInfoDataset": ".beside",
    "EnvInfoDataset": ".beside",
    "static_info": ".costs",
    "Skeleton": ".costs",
    "build": ".networks",
    "graph_of": ".graphs",
    "hash_of_graph": ".graphs",
    "pareto_front": "blockzoo.report.pareto",
    "hypervolume": "blockzoo.report.pareto",
}
_MODULES = ("dataset", "graph_utils", "io", "search_space")
__version__ = "1.0.0"
"""Of the published package whose names are served here; `blockzoo.__version__` is ours."""
__all__ = [*_PUBLIC, *_MODULES]
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC, _MODULES)
