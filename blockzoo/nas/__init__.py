"""nas: the macro search space of block-built CNNs as a benchmark one can query, build, search and extend.

`import blockzoo.nas as blox` runs scripts written for the published benchmark. Names load on first use; only building and
training networks imports torch.
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
    "get_model_hash": ".published",
    "get_unique_architectures": ".published",
    "get_random_architectures": ".published",
    "static_info": ".costs",
    "Skeleton": ".costs",
    "build": ".networks",
    "graph_of": ".graphs",
    "hash_of_graph": ".graphs",
    "pareto_front": "blockzoo.report.pareto",
    "hypervolume": "blockzoo.report.pareto",
}
_MODULES = ("io",)
__all__ = [*_PUBLIC, *_MODULES]
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC, _MODULES)
