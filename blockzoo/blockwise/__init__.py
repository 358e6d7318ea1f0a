"""blockwise: train networks block by block, and measure how strongly their blocks are coupled."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Partition": "partition",
    "make_partition": "partition",
    "CouplingMap": "curvature.coupling",
    "coupling_map": "curvature.coupling",
    "exact_hessian": "curvature.hessian",
    "Hessian": "curvature.hessian",
    "GaussNewton": "curvature.gauss_newton",
    "extreme_eigenvalues": "curvature.diagonal",
    "trace": "curvature.diagonal",
    "spectral_density": "curvature.diagonal",
    "row_norm": "curvature.diagonal",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
