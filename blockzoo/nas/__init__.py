"""nas: the macro search space of block-built CNNs as a benchmark one can query, build, search and extend.

`import blockzoo.nas as blox` runs scripts written for the published benchmark. Names load on first use; only building and
training networks imports torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "from_folder": "loading",
    "load": "loading",
    "Dataset": "dataset",
    "read_dataset_file": "io",
    "write_dataset_file": "io",
    "MacroSpace": "space",
    "get_model_hash": "published",
    "get_unique_architectures": "published",
    "get_random_architectures": "published",
    "static_info": "costs",
    "Skeleton": "costs",
    "build": "networks",
    "graph_of": "graphs",
    "hash_of_graph": "graphs",
    "pareto_front": "pareto",
    "hypervolume": "pareto",
}
_MODULES = ("io",)
__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
