"""Dataset files: one module per format, the header and the table they share, folders of them, and what makes one wrong."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["io"]
)  # as `blockzoo.nas` hands them on
