"""blockwise: train networks block by block, and measure how strongly their blocks are coupled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in __init__.pyi
