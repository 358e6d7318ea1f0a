"""The coupling map: how strongly every two network blocks are coupled, sigma_max(H_ij), without forming the Hessian.

1. A shared pass: for each block j a few random orthonormal directions S_j; the product H E_j S_j gives H_ij S_j for all i at
   once. That is a rigorous lower bound of every entry, an estimate of every Frobenius norm, and a start for what follows.
2. Per pair a Golub-Kahan-Lanczos process from that start, per diagonal block a Lanczos process; the next step always goes to the
   entry whose estimated error is largest, until all are below the tolerance or the budget is spent.
3. When all are converged, a second shared pass along the directions that the entries found in each block: couplings share
   directions, so an entry that had converged to a smaller singular value is seen to be too small, and starts anew from there.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from blockzoo.blockwise.curvature.gauss_newton import GaussNewton
from blockzoo.blockwise.curvature.hessian import Batch, Hessian, LossFunction
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, random_unit
from blockzoo.blockwise.partition import Partition
from blockzoo.core.errors import RequestError

MATRICES = {"hessian": Hessian, "ggn": GaussNewton}
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CouplingMap:
    """Spectral norms of all blocks of a Hessian, with how far they can be trusted.

    Args:
        sigma: (B, B) estimates, symmetric; on the diagonal the spectral norms of the blocks themselves.
        lower_bound: (B, B) never more than the truth (but for rounding): norms of products that were really taken.
        residual: (B, B) some true singular value lies within this of `sigma`.
        frobenius: (B, B) estimates of Frobenius norms, which are never less than spectral norms; exact for blocks of at most
            `rank` parameters.
        products: backward passes through the gradient, in all.
        labels: of the blocks.
        sizes: numbers of parameters.
        converged: (B, B) whether the estimated error is within the tolerance.
        seconds: wall time, the gradient's graph included.
        history: (products, sigma) along the way.
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

    def row_bounds(self) -> tuple[Matrix, Matrix]:
        """(B,) each: between which L_i = ||H_i,-i|| lies: the largest coupling of a block, and the root of their squares' sum."""
        off = self.sigma - np.diag(np.diag(self.sigma))
        return off.max(1), np.sqrt((off**2).sum(1))

    def rows(self) -> list[dict[str, Any]]:
        """One row per pair, the strongest first."""
        found = [
            {
                "first": self.labels[i],
                "second": self.labels[j],
                "sigma": self.sigma[i, j],
                "residual": self.residual[i, j],
                "frobenius": self.frobenius[i, j],
            }
            for i in range(len(self.labels))
            for j in range(i, len(self.labels))
        ]
        return sorted(found, key=lambda row: -row["sigma"])


def coupling_map(
    model: nn.Module,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    partition: str | Partition | dict[str, str] | Sequence[Sequence[str]] = "blocks",
    rank: int = 8,
    tol: float = 1e-3,
    seed: int = 0,
    *,
    matrix: str = "hessian",
    max_products: int | None = None,
    max_seconds: float | None = None,
    report: Callable[[int, int], None] = lambda done, most: None,
) -> CouplingMap:
    """Spectral norms of all blocks of the Hessian of a frozen loss.

    Args:
        model, loss_fn, batches, partition: see `Hessian`.
        rank: directions per block of the two shared passes together; fewer where they would take more than a quarter of the
            products.
        tol: relative error to reach.
        seed: of the directions.
        matrix: "hessian", or "ggn" for the generalised Gauss-Newton matrix.
        max_products: stop after so many; by default 8 B (B - 1).
        max_seconds: stop after so long.
        report: told products done and allowed.

    Raises:
        RequestError: as `Hessian`; a rank, tolerance or budget that is not positive.
    """
    faults = [
        f"{name} {value}: give a positive number"
        for name, value in (("rank", rank), ("tol", tol))
        if not value > 0
    ]
    if max_products is not None and max_products < 1:
        faults.append(f"max_products {max_products}: give a positive number")
    if matrix not in MATRICES:
        faults.append(f"matrix {matrix!r}: choose {' or '.join(MATRICES)}")
    if faults:
        raise RequestError("; ".join(faults))
    begin = time.perf_counter()
    hessian = MATRICES[matrix](model, loss_fn, batches, partition)
    count = len(hessian.sizes)
    budget = max_products or max(8 * count * (count - 1), 16)
    deadline = begin + max_seconds if max_seconds is not None else float("inf")
    entries = _Entries(hessian, max(1, min(rank, budget // (4 * count))), tol, seed, begin)
    while (entry := entries.worst()) is not None or entries.checked(budget):
        if entry is None:
            continue
        if hessian.products + entry.price > budget or time.perf_counter() > deadline:
            break
        entry.step()
        entries.stepped(entry)
        report(hessian.products, budget)
    return entries.map()


SEEN = 1e-3
"""By how much, relatively, a shared pass must have seen more than an entry's value for the entry to be false."""
MOST_RESTARTS, MOST_CHECKS = 3, 3


class _Entry:
    """One entry of the map: its process, and what the shared pass says of it."""

    def __init__(
        self,
        place: tuple[int, int],
        process: GolubKahan | Lanczos,
        start: int,
        bound: float,
        frobenius: float,
        exact: bool,
    ) -> None:
        self.place, self.process, self.start = place, process, start
        self.bound, self.frobenius, self.exact = bound, frobenius, exact
        self.price = 1 if isinstance(process, Lanczos) else 2
        self.restarts = 0

    @property
    def value(self) -> float:
        return max(self.process.value, self.bound)

    @property
    def residual(self) -> float:
        if self.exact or self.process.exhausted:
            return 0.0
        return min(self.process.residual, self.frobenius) if self.process.steps else self.frobenius

    @property
    def error(self) -> float:
        """Estimated relative error: the residual, or its square over the gap to the next value where that is less."""
        if self.exact:
            return 0.0
        process = self.process
        if process.exhausted:
            return 0.0
        if process.steps < 2 or process.value <= 0:
            return float("inf") if process.steps == 0 else 1.0
        quadratic = process.residual**2 / process.gap if process.gap > 0 else process.residual
        return min(process.residual, quadratic) / process.value

    def step(self) -> None:
        self.process.step()


class _Entries:
    """All entries, the one with the largest estimated error first."""

    def __init__(self, hessian: Hessian, rank: int, tol: float, seed: int, begin: float) -> None:
        self._hessian, self._tol, self._begin = hessian, tol, begin
        self._generator = torch.Generator().manual_seed(seed)
        self._rank, self._checks = rank, 0
        self._entries = self._shared_pass(max(1, rank // 2))
        self._queue = [(-e.error, n) for n, e in enumerate(self._entries) if e.error > tol]
        heapq.heapify(self._queue)
        self._history = [(hessian.products, self._sigma())]
        self._next_note = hessian.products * 1.1

    def _shared_pass(self, rank: int) -> list[_Entry]:
        hessian = self._hessian
        sizes, count = hessian.sizes, len(hessian.sizes)
        seen: dict[tuple[int, int], torch.Tensor] = {}
        for j in range(count):
            directions = self._directions(sizes[j], min(rank, sizes[j]))
            columns = [hessian.column(j, directions[:, k].contiguous()) for k in range(directions.shape[1])]
            for i in range(count):
                seen[i, j] = torch.stack([column[i] for column in columns], dim=1)
        return [self._entry(i, j, seen) for i in range(count) for j in range(i, count)]

    def _directions(self, size: int, rank: int) -> torch.Tensor:
        """(size, rank) random orthonormal columns."""
        drawn = torch.randn(size, rank, generator=self._generator, dtype=torch.float64)
        return torch.linalg.qr(drawn)[0].to(self._hessian.like)

    def _entry(self, i: int, j: int, seen: dict[tuple[int, int], torch.Tensor]) -> _Entry:
        sizes = self._hessian.sizes
        sides = [(i, j), (j, i)] if i != j else [(i, j)]
        found = [torch.linalg.svd(seen[side], full_matrices=False) for side in sides]
        values = [float(s[0]) for _, s, _ in found]
        squares = [
            float(s.double().square().sum()) * sizes[b] / seen[a, b].shape[1]
            for (_, s, _), (a, b) in zip(found, sides, strict=True)
        ]
        exact = any(seen[a, b].shape[1] == sizes[b] for a, b in sides)
        exact_side = next((n for n, (a, b) in enumerate(sides) if seen[a, b].shape[1] == sizes[b]), None)
        frobenius = float(np.sqrt(squares[exact_side] if exact_side is not None else np.mean(squares)))
        best = exact_side if exact_side is not None else int(np.argmax(values))
        a, b = sides[best]
        start = found[best][0][
            :, 0
        ].contiguous()  # in block a, one product away from random directions in block b
        return _Entry((i, j), self._process(a, b, start), a, values[best], frobenius, exact)

    def _process(self, a: int, b: int, start: torch.Tensor) -> GolubKahan | Lanczos:
        """A process for H_ba that starts in block a."""
        pair = self._hessian.pair
        if a == b:
            return Lanczos(lambda v: pair(a, a, v), start)
        shape = (self._hessian.sizes[b], self._hessian.sizes[a])
        return GolubKahan(lambda v: pair(b, a, v), lambda u: pair(a, b, u), start, shape)

    def worst(self) -> _Entry | None:
        """The entry with the largest estimated error; None when all are within the tolerance."""
        return self._entries[self._queue[0][1]] if self._queue else None

    def stepped(self, entry: _Entry) -> None:
        """Put an entry that made a step where it now belongs."""
        _, number = heapq.heappop(self._queue)
        if entry.error > self._tol:
            heapq.heappush(self._queue, (-entry.error, number))
        elif entry.process.value < entry.bound * (1 - SEEN):
            self._restart(number, random_unit(self._hessian.sizes[entry.place[0]], *self._drawing()))
        if self._hessian.products >= self._next_note:
            self._history.append((self._hessian.products, self._sigma()))
            self._next_note = self._hessian.products * 1.1

    def checked(self, budget: int) -> bool:
        """The second shared pass: whether an entry had converged to less than there is, and goes on."""
        hessian = self._hessian
        found = self._directions_found()
        rank = self._rank - max(1, self._rank // 2)
        if self._checks == MOST_CHECKS or rank * len(found) + hessian.products > budget:
            return False
        self._checks += 1
        for j, vectors in found.items():
            left = torch.linalg.svd(torch.stack(vectors, dim=1), full_matrices=False)[0]
            columns = [hessian.column(j, left[:, k].contiguous()) for k in range(min(rank, left.shape[1]))]
            for number, entry in enumerate(self._entries):
                if j not in entry.place or entry.exact:
                    continue
                i = entry.place[0] if entry.place[1] == j else entry.place[1]
                u, s, _ = torch.linalg.svd(torch.stack([c[i] for c in columns], dim=1), full_matrices=False)
                if float(s[0]) > entry.value * (1 + SEEN):
                    entry.bound = float(s[0])
                    self._restart(number, u[:, 0].contiguous(), i, j)
        return bool(self._queue)

    def _directions_found(self) -> dict[int, list[torch.Tensor]]:
        """For each block, the singular vectors that its entries have there."""
        found: dict[int, list[torch.Tensor]] = {}
        for entry in self._entries:
            process = entry.process
            if not process.steps:
                continue
            if isinstance(process, Lanczos):
                found.setdefault(entry.start, []).append(process.vector())
                continue
            left, right = process.vectors()
            other = entry.place[0] if entry.place[1] == entry.start else entry.place[1]
            found.setdefault(entry.start, []).append(right)
            found.setdefault(other, []).append(left)
        return found

    def _restart(self, number: int, start: torch.Tensor, i: int | None = None, j: int | None = None) -> None:
        """A new process for an entry, from a direction in block i; once more at most."""
        entry = self._entries[number]
        if entry.restarts == MOST_RESTARTS:
            return
        if i is None or j is None:
            i, j = entry.place
        entry.restarts += 1
        entry.process, entry.start = self._process(i, j, start), i
        if all(n != number for _, n in self._queue):
            heapq.heappush(self._queue, (-entry.error, number))

    def _drawing(self) -> tuple[torch.Tensor, torch.Generator]:
        return self._hessian.like, self._generator

    def _filled(self, of: Callable[[_Entry], float]) -> Matrix:
        count = len(self._hessian.sizes)
        matrix = np.zeros((count, count))
        for entry in self._entries:
            i, j = entry.place
            matrix[i, j] = matrix[j, i] = of(entry)
        return matrix

    def _sigma(self) -> Matrix:
        return self._filled(lambda entry: entry.value)

    def map(self) -> CouplingMap:
        """What is known by now."""
        sigma = self._sigma()
        return CouplingMap(
            sigma=sigma,
            lower_bound=sigma.copy(),
            residual=self._filled(lambda entry: entry.residual),
            frobenius=np.maximum(self._filled(lambda entry: entry.frobenius), sigma),
            products=self._hessian.products,
            labels=self._hessian.partition.labels,
            sizes=tuple(self._hessian.sizes),
            converged=self._filled(lambda entry: entry.error <= self._tol) > 0,
            seconds=time.perf_counter() - self._begin,
            history=[*self._history, (self._hessian.products, sigma)],
        )
