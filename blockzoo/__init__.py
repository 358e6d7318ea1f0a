"""blockzoo: the laboratory for convolutional blocks. Public names load on first use; this import is instant."""

from __future__ import annotations

from blockzoo.core.safe_path import leave_the_current_folder

leave_the_current_folder()  # before anything else is imported

import lazy_loader  # noqa: E402

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in __init__.pyi
__all__ += ["__version__"]
