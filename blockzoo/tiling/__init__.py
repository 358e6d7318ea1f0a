"""tiling: run CNNs on spatial tiles, in a fraction of the memory."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "BlockConv2d": "conv",
    "BlockMaxPool2d": "pool",
    "BlockAvgPool2d": "pool",
    "block_convert": "convert",
    "ConversionReport": "convert",
    "block_network": "networks",
    "Plan": "executor",
    "TiledRunner": "executor",
    "peak_memory": "blockzoo.measure.memory",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        place = _PUBLIC[name]
        return getattr(importlib.import_module(place if "." in place else f"{__name__}.{place}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
