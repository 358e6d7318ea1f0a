"""The public names of the package, each with its type; `__init__.py` loads from here on first use."""

from .curvature.coupling import CouplingMap as CouplingMap
from .curvature.coupling import coupling_map as coupling_map
from .curvature.diagonal import extreme_eigenvalues as extreme_eigenvalues
from .curvature.diagonal import row_norm as row_norm
from .curvature.diagonal import spectral_density as spectral_density
from .curvature.diagonal import trace as trace
from .curvature.gauss_newton import GaussNewton as GaussNewton
from .curvature.hessian import Hessian as Hessian
from .curvature.hessian import exact_hessian as exact_hessian
from .curvature.report import Curvature as Curvature
from .curvature.report import curvature_of as curvature_of
from .partition import Partition as Partition
from .partition import make_partition as make_partition
from .run.config import RunConfig as RunConfig
from .run.loop import RunResult as RunResult
from .run.options import Options as Options
from .run.runs import run_blockwise as run_blockwise
