"""blockwise: train networks block by block, and measure how strongly their blocks are coupled."""

from __future__ import annotations

from blockzoo.core.lazy import lazy_names

_PUBLIC = {
    "Partition": ".partition",
    "make_partition": ".partition",
    "CouplingMap": ".curvature.coupling",
    "coupling_map": ".curvature.coupling",
    "exact_hessian": ".curvature.hessian",
    "Hessian": ".curvature.hessian",
    "GaussNewton": ".curvature.gauss_newton",
    "extreme_eigenvalues": ".curvature.diagonal",
    "trace": ".curvature.diagonal",
    "spectral_density": ".curvature.diagonal",
    "row_norm": ".curvature.diagonal",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
