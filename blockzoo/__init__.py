"""blockzoo: the laboratory for convolutional blocks. Public names load on first use; this import is instant."""

from __future__ import annotations

from blockzoo.core.safe_path import leave_the_current_folder

leave_the_current_folder()  # before anything else is imported

from blockzoo.core.lazy import lazy_names  # noqa: E402

__version__ = "0.1.0"

_PUBLIC = {
    "profile_block": "blockzoo.profile",
    "quick_profile": "blockzoo.profile",
    "get_model_profile": "blockzoo.profile",
    "benchmark_block": "blockzoo.benchmark",
    "benchmark_model": "blockzoo.benchmark",
    "quick_benchmark": "blockzoo.benchmark",
    "train_block": "blockzoo.train",
    "run_sweep": "blockzoo.sweep",
    "plot_results": "blockzoo.visualize",
    "ScaffoldNet": "blockzoo.models.scaffold",
    "BLOCK_REGISTRY": "blockzoo.wrappers",
    "list_available_blocks": "blockzoo.wrappers",
    "get_block_class": "blockzoo.wrappers",
    "register_block": "blockzoo.wrappers",
}
__all__ = ["__version__", *_PUBLIC]
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
