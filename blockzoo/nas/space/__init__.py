"""The macro space: cells, networks as indices, vectors and hashes, their graphs and their costs by formula. No torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["graph_utils", "search_space"])
