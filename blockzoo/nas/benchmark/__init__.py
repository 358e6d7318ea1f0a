"""A benchmark of the space: queried, loaded from files, made from trainings, filled by a surrogate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["dataset"]
)  # as `blockzoo.nas` hands them on
