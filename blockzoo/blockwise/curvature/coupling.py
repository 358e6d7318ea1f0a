"""The coupling map: how strongly every two network blocks are coupled, sigma_max(H_ij), without forming the Hessian.

1. A block of few parameters is computed whole: its columns are all products with it, and its norms are exact.
2. For each other block j one product along a random direction, H E_j s_j, is the first step of every entry (i, j) at once.
3. Each entry goes on by itself, a Golub-Kahan-Lanczos process (a Lanczos process on the diagonal) from that direction, until
   what it found and what a larger singular value could still be, with a stated probability, lie within the tolerance.
4. One entry, drawn by chance, is searched a second time from a fresh direction.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from blockzoo.blockwise.curvature.frozen_loss import Batches, LossFunction
from blockzoo.blockwise.curvature.gauss_newton import GaussNewton
from blockzoo.blockwise.curvature.hessian import Hessian, How
from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.curvature.precision import Rounding, in_double
from blockzoo.blockwise.curvature.search import Limits, Search
from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import RESULTS
from blockzoo.core.progress import working
from blockzoo.core.result import Result
from blockzoo.report.heatmap import HeatMap, map_figure

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.blockwise.curvature.keywords import SearchingKeywords
    from blockzoo.report.drawing import Figure

MATRICES: dict[str, type[Hessian]] = {"hessian": Hessian, "ggn": GaussNewton}
Matrix = npt.NDArray[np.float64]


@RESULTS.register("coupling map")
@dataclass(frozen=True, eq=False, repr=False)
class CouplingMap(Result):
    """Spectral norms of all blocks of a Hessian, with how far they can be trusted.

    Args:
        sigma: (B, B) estimates, symmetric; on the diagonal the spectral norms of the blocks themselves.
        lower_bound: (B, B) never more than the truth (but for rounding): norms of products that were really taken.
        residual: (B, B) some true singular value, not always the largest, lies within this of `sigma`.
        frobenius: (B, B) estimates of Frobenius norms; exact for blocks that were computed whole.
        products: backward passes through the gradient, in all, but for those of the checks.
        labels: of the blocks.
        sizes: numbers of parameters that are not frozen.
        converged: (B, B) whether `sigma` is at least (1 - tol) `upper`.
        seconds: wall time, the gradient's graph and the checks included.
        history: (products, sigma) along the way.
        upper: (B, B) what the truth is at most, all entries together with probability 1 - `failure`; empty where nobody asked.
        tol: the relative error that was asked for.
        failure: the probability that was asked for.
        stopped: why there are entries that have not converged; empty where there are none.
        checked: what each check found, a relative deviation.
    """

    sigma: Matrix
    lower_bound: Matrix
    residual: Matrix
    frobenius: Matrix
    products: int
    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    converged: npt.NDArray[np.bool_]
    seconds: float
    history: list[tuple[int, Matrix]] = field(repr=False)
    upper: Matrix = field(default_factory=lambda: np.zeros((0, 0)))
    tol: float = Searching.tol
    failure: float = Searching.failure
    stopped: str = ""
    checked: dict[str, float] = field(default_factory=dict)

    def row_bounds(self) -> tuple[Matrix, Matrix]:
        """(B,) each: between which L_i = ||H_i,-i|| lies, but for the tolerance and where all entries have converged.

        The largest coupling of a block, and the root of their squares' sum.
        """
        off = self.sigma - np.diag(np.diag(self.sigma))
        return off.max(1), np.sqrt((off**2).sum(1))

    def rows(self) -> list[dict[str, Any]]:
        """One row per pair, the strongest first."""
        pairs = [
            {
                "first": self.labels[i],
                "second": self.labels[j],
                "sigma": self.sigma[i, j],
                "upper": self.upper[i, j],
                "converged": bool(self.converged[i, j]),
                "residual": self.residual[i, j],
                "frobenius": self.frobenius[i, j],
            }
            for i in range(len(self.labels))
            for j in range(i, len(self.labels))
        ]
        return sorted(pairs, key=lambda row: -row["sigma"])

    def headline(self) -> str:
        count, within = self.converged.size, int(self.converged.sum())
        sure = f"{within} of {count} entries within {self.tol:g} of the truth"
        return f"{len(self.labels)} blocks, {sure}, {self.products} products"

    def table_rows(self) -> list[dict[str, Any]]:
        return self.rows()

    def heat_map(self, title: str = "Couplings of network blocks") -> HeatMap:
        """What is drawn of it."""
        details = {"at most": self.upper, "residual": self.residual, "Frobenius norm": self.frobenius}
        quantity = "spectral norm of the block of the matrix"
        return HeatMap(self.sigma, self.labels, title, quantity, details, ~self.converged)

    def figure(self) -> Figure:
        """The map, with what has not converged hatched."""
        return map_figure(self.heat_map())


def coupling_map(
    model: nn.Module,
    loss_fn: LossFunction,
    batches: Batches,
    partition: How = "blocks",
    *,
    report: Callable[[int, int], None] = lambda done, entries: None,
    **searching: Unpack[SearchingKeywords],
) -> CouplingMap:
    """Spectral norms of all blocks of the Hessian of a frozen loss.

    Args:
        model: any network; it is left as it is.
        loss_fn: (output, target) -> one number, a mean or a sum over the examples.
        batches: (x, y), several; the loss is over all of them.
        partition: what the blocks are, see `make_partition`.
        report: told how many entries are finished, of how many.
        searching: of the table Searching in docs/settings.md: rank, tol, seed, failure, matrix, max_products, max_seconds.
            Without a limit of products or seconds only the tolerance decides when to stop.

    Raises:
        UsageError: as `Hessian`; a rank, tolerance, probability or budget out of its range.
        CheckFailed: as `Hessian`; blocks or an entry that another way finds to be wrong.

    Examples:
        f(a, b) = 2 a^2 + 3 a b + b^2 / 2 has the Hessian [[4, 3], [3, 1]].

        >>> import torch
        >>> class Quadratic(nn.Module):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.a, self.b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        ...
        ...     def forward(self, x: torch.Tensor) -> torch.Tensor:
        ...         return x * (2 * self.a**2 + 3 * self.a * self.b + self.b**2 / 2)
        >>> one = torch.ones(1, 1)
        >>> coupling = coupling_map(Quadratic(), lambda output, target: output.mean(), [(one, one)], "tensor")
        >>> coupling.sigma.round(4)
        array([[4., 3.],
               [3., 1.]])
        >>> bool((coupling.upper >= coupling.sigma).all())
        True
    """
    (config,) = sorted_into(searching, Searching, what="coupling_map")
    begin = time.perf_counter()
    matrix = MATRICES[config.matrix](model, loss_fn, batches, partition)
    matrix.check_entries(columns=True)
    hessian = in_double(matrix)
    limits = Limits(config.max_products, None if config.max_seconds is None else begin + config.max_seconds)
    entries = len(hessian.sizes) * (len(hessian.sizes) + 1) // 2
    with working("coupling map", entries, "entries") as task:

        def told(done: int, of: int) -> None:
            task.total = of
            task.at(done)
            report(done, of)

        search = Search(hessian, Rounding(hessian, matrix), config, limits, told)
        search.run()
    table = search.known()
    sigma, upper, residual, frobenius, converged = (
        np.array([[getattr(entry, name) for entry in row] for row in table])
        for name in ("value", "upper", "residual", "frobenius", "converged")
    )
    coupling = CouplingMap(
        sigma=sigma,
        lower_bound=sigma.copy(),
        upper=upper,
        residual=residual,
        frobenius=frobenius,
        products=search.products,
        labels=hessian.partition.labels,
        sizes=tuple(hessian.sizes),
        converged=converged,
        tol=config.tol,
        failure=config.failure,
        stopped=search.stopped,
        checked={**hessian.checked, **search.checked},
        seconds=time.perf_counter() - begin,
        history=search.history,
    )
    if coupling.stopped:
        warnings.warn(f"coupling map: {coupling.stopped}", stacklevel=2)
    return coupling
