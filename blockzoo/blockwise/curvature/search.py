"""The search for all entries of a coupling map: what is computed whole, where each entry starts, and when it ends."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from blockzoo.blockwise.curvature.bounds import least_component
from blockzoo.blockwise.curvature.checks import (
    ConvergedEntry,
    Sample,
    Undecided,
    check_coupling_entry,
    check_dense_blocks,
)
from blockzoo.blockwise.curvature.hessian import Hessian
from blockzoo.blockwise.curvature.known import Known, norms
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, Process, random_unit
from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.curvature.precision import Rounding

SMALL_NETWORK = 500
"""Parameters up to which every block is computed whole."""
PER_ENTRY = 10
"""A block is computed whole if it has fewer parameters than this for each entry that it spares."""
MOST_NUMBERS = 2**26
"""Of the columns of a block that is computed whole."""
Place = tuple[int, int]
OF_CHECKS = 4
"""Products, about, that the checks at the end of a search take."""


@dataclass(frozen=True)
class Limits:
    """What a search may take: products, and a time on the clock of `time.perf_counter` by which it is done; None: no limit."""

    products: int | None = None
    deadline: float | None = None
    began: float = field(default_factory=lambda: time.perf_counter())

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.products is not None or self.deadline is not None

    def reached(self, products: int, done: int = 0) -> str:
        """Which limit a step would be over, up to so many products from those done, at the pace of these; empty if none."""
        if self.products is not None and products > self.products:
            return "max_products"
        if self.deadline is None:
            return ""
        now = time.perf_counter()
        pace = (now - self.began) / done if done else 0.0
        return "max_seconds" if now + pace * (products - done + OF_CHECKS) > self.deadline else ""


class _Entry:
    """An entry that is searched for.

    Args:
        place: (i, j), not in order: it starts in block j.
        seen: its norm on the random directions.
    """

    def __init__(self, place: Place, process: Process, component: float, seen: float) -> None:
        self.place, self.process, self.component, self.seen = place, process, component, seen
        self.done: Known | None = None

    @property
    def value(self) -> float:
        return self.done.value if self.done else max(self.process.value, self.seen)

    def known(self, tol: float) -> Known:
        if self.done:
            return self.done
        process, value = self.process, self.value
        # before the first step: what was seen is no less than the component times the truth
        upper = max(value, process.upper(self.component) if process.steps else self.seen / self.component)
        residual = process.residual + value - process.value
        return Known(value, upper, residual, process.frobenius(), process.within(tol, self.component))


class Search:
    """All entries: of small blocks by computing these whole, the others one after the other; under limits, the worst first.

    Args:
        asked, report: see `coupling_map`.
    """

    def __init__(
        self,
        hessian: Hessian,
        rounding: Rounding,
        asked: Searching,
        limits: Limits,
        report: Callable[[int, int], None],
    ) -> None:
        self._hessian, self._rank, self._tol = hessian, asked.rank, asked.tol
        self._rounding, self._errors = rounding, dict[Place, float]()
        self._limits, self._report = limits, report
        self._generator = torch.Generator().manual_seed(asked.seed)
        self._count = len(hessian.sizes)
        self._failure = asked.failure / (self._count * (self._count + 1) / 2)
        self._exact: dict[Place, Known] = {
            (i, j): Known() for j in range(self._count) for i in range(j + 1) if 0 in self._sizes(i, j)
        }
        self._entries: dict[Place, _Entry] = {}
        self._squares: dict[Place, list[float]] = {}
        self._done = len(self._exact)
        self._sample = Sample(asked.seed)
        self._note_at = 0.0
        self._reached = ""
        self.checked: dict[str, float] = {}
        self.history: list[tuple[int, npt.NDArray[np.float64]]] = []
        self.products = 0
        """Without those of checks."""

    def run(self) -> None:
        """All of it, and the checks."""
        rest = self._compute_small_blocks_whole()
        for j in reversed(
            rest
        ):  # from the largest block to the smallest: an entry starts on its smaller side
            opened = self._open(j, rest)
            if not self._limits.any:
                for entry in opened:
                    self._finish([entry])
        if self._limits.any:
            self._finish(list(self._entries.values()))
        self._noted(always=True)
        self._check_one()
        if self._rounding.measured:
            entries = self.known()
            sure = [(e, entries[i][j]) for (i, j), e in self._errors.items() if entries[i][j].converged]
            self._record_check("rounding", max((e / k.value for e, k in sure if k.value), default=0.0))

    def known(self) -> list[list[Known]]:
        """All entries, (B, B)."""
        by_place = dict(self._exact)
        for place, entry in self._entries.items():
            bounds = entry.known(self._tol)
            estimate = math.sqrt(sum(self._squares[place]) / len(self._squares[place]))
            by_place[place] = bounds._replace(frobenius=max(bounds.frobenius, bounds.value, estimate))
        by_place = {
            place: k.with_error(self._errors.get(place, 0.0), self._tol, self._failure)
            for place, k in by_place.items()
        }
        if (more := self._hessian.rounded) > 0:
            by_place = {
                place: k._replace(
                    upper=k.upper * (1 + more), converged=k.converged and (more <= self._tol or not k.upper)
                )
                for place, k in by_place.items()
            }
        return [[by_place[min(i, j), max(i, j)] for j in range(self._count)] for i in range(self._count)]

    @property
    def stopped(self) -> str:
        """Why entries have not converged, if any has not."""
        early = sum(not e.known(self._tol).converged for e in self._entries.values() if not e.done)
        rounded = self._hessian.rounded > self._tol
        faint = 0 if rounded else self._missing() - early
        parts = []
        if rounded:
            parts.append(
                f"this network computes in fewer bits than {self._hessian.like.dtype} inside, and products are off by "
                f"{self._hessian.rounded:.1e} (relative): no entry has converged to {self._tol:g}; leave out the casts, or give "
                "a larger tol"
            )
        if early:
            parts.append(
                f"stopped early, after {self.products} products ({self._reached}): {early} of {self._all} entries have not "
                "converged and are lower bounds; allow more, or a larger tol"
            )
        if faint:
            parts.append(
                f"{faint} of {self._all} entries are so small, or so near to others, that rounding errors of "
                f"{self._hessian.like.dtype} hide them: they have not converged"
                + ("" if self._hessian.like.dtype == torch.float64 else "; give a network of float64")
            )
        return "; ".join(parts)

    def _missing(self) -> int:
        """Entries that have not converged."""
        entries = self.known()
        return sum(not entries[i][j].converged for j in range(self._count) for i in range(j + 1))

    @property
    def _all(self) -> int:
        return self._count * (self._count + 1) // 2

    def _sizes(self, i: int, j: int) -> Place:
        return self._hessian.sizes[i], self._hessian.sizes[j]

    def _compute_small_blocks_whole(self) -> list[int]:
        """The blocks that are left, the smallest first."""
        sizes, total = self._hessian.sizes, sum(self._hessian.sizes)
        order = sorted((j for j in range(self._count) if sizes[j]), key=lambda j: sizes[j])
        small = total <= SMALL_NETWORK and not self._limits.reached(total)
        rest = []
        for n, j in enumerate(order):
            few = sizes[j] <= PER_ENTRY * (len(order) - n) and sizes[j] * total <= MOST_NUMBERS
            if (small or few) and not self._limits.reached(self.products + sizes[j], self.products):
                self._compute_whole(j)
            else:
                rest.append(j)
        return rest

    def _compute_whole(self, j: int) -> None:
        """Exact norms of all entries of a block."""
        hessian, size = self._hessian, self._hessian.sizes[j]
        columns = hessian.columns(j, torch.eye(size).to(hessian.like))
        self.products += size
        direction = random_unit(size, hessian.like, self._generator)
        plain = hessian.column(j, direction)
        errors = self._rounding.of_column(j, direction, plain)
        self._record_check("dense-blocks", check_dense_blocks(hessian, j, columns, direction, plain, errors))
        self._off(j, errors)
        for i, block in enumerate(columns):
            place = (min(i, j), max(i, j))
            if place not in self._exact:
                self._exact[place] = norms(block, symmetric=i == j)
                self._finished()
        self._noted()

    def _open(self, j: int, others: Sequence[int]) -> list[_Entry]:
        """The entries (i, j) with blocks i no smaller than j, which products along random directions in block j begin."""
        hessian, size = self._hessian, self._hessian.sizes[j]
        rank = min(self._rank, size)
        if self._limits.reached(self.products + rank * len(others), self.products):
            rank = 1
        drawn = torch.randn(size, rank, generator=self._generator, dtype=torch.float64)
        directions = torch.linalg.qr(drawn)[0].to(hessian.like)
        columns = [hessian.column(j, directions[:, k].contiguous()) for k in range(rank)]
        self.products += rank
        self._off(j, self._rounding.of_column(j, directions[:, 0].contiguous(), columns[0]))
        opened, mine = [], others.index(j)
        for n, i in enumerate(others):
            place = (min(i, j), max(i, j))
            seen = torch.stack([column[i] for column in columns], 1).double()
            self._squares.setdefault(place, []).append(float(seen.square().sum()) * size / rank)
            if n < mine:
                continue
            process = self._process(i, j, directions[:, 0].contiguous(), columns[0][i])
            norm = float(torch.linalg.matrix_norm(seen, 2))
            self._entries[place] = _Entry((i, j), process, least_component(size, self._failure), norm)
            opened.append(self._entries[place])
        return opened

    def _off(self, j: int, errors: Sequence[float]) -> None:
        """Entries of a column, by so much."""
        for i, error in enumerate(errors):
            place = (min(i, j), max(i, j))
            self._errors[place] = max(error, self._errors.get(place, 0.0))

    def _process(self, i: int, j: int, start: torch.Tensor, first: torch.Tensor) -> Process:
        """One for H_ij that starts in block j, its first product made."""
        pair = self._hessian.pair
        if i == j:
            return Lanczos(partial(pair, j, j), start, first)
        return GolubKahan(partial(pair, i, j), partial(pair, j, i), start, self._sizes(i, j), first)

    def _finish(self, entries: Sequence[_Entry]) -> None:
        """Step on until all have converged, or a limit is reached; the one with the largest residual first."""
        queue = [(-math.inf, n) for n in range(len(entries))]
        while queue:
            entry = entries[queue[0][1]]
            process = entry.process
            price = process.price
            if reached := self._limits.reached(self.products + price, self.products):
                self._reached = reached
                return
            process.step()
            self.products += price
            _, n = heapq.heappop(queue)
            if process.within(self._tol, entry.component) or process.exhausted or process.hopeless(self._tol):
                self._close(entry)
            else:
                urgency = process.residual / max(process.value, 1e-300) if queue else 0.0
                heapq.heappush(queue, (-urgency, n))
            self._noted()

    def _close(self, entry: _Entry) -> None:
        """Keep what an entry came to, and let go of its directions."""
        entry.done = entry.known(self._tol)
        if (
            not entry.done.converged
        ):  # rounding errors: what was seen first is more certain than what came of it
            entry.done = entry.done._replace(upper=max(entry.done.upper, entry.seen / entry.component))
        if entry.done.converged and entry.process.value > 0:
            self._sample.offer(
                lambda: ConvergedEntry(entry.place, entry.process.vector(), entry.process.value)
            )
        del entry.process
        self._finished()

    def _finished(self) -> None:
        self._done += 1
        self._report(self._done, self._all)

    def _check_one(self) -> None:
        if self._sample.kept is None:
            return
        converged = self._sample.kept
        i, j = converged.place
        forward, back = partial(self._hessian.pair, i, j), partial(self._hessian.pair, j, i)
        entry = self._entries[min(i, j), max(i, j)]
        try:
            deviation = check_coupling_entry(
                forward,
                None if i == j else back,
                converged,
                self._hessian.sizes[i],
                self._tol,
                self._failure,
                self._generator,
            )
        except Undecided:
            assert entry.done is not None
            entry.done = entry.done._replace(converged=False)
            return
        self._record_check("coupling-entry", deviation)

    def _record_check(self, check: str, deviation: float) -> None:
        self.checked[check] = max(deviation, self.checked.get(check, 0.0))

    def _noted(self, always: bool = False) -> None:
        """Values along the way, ever more rarely."""
        if always or self.products >= self._note_at:
            values = np.zeros((self._count, self._count))
            for (i, j), exact in self._exact.items():
                values[i, j] = values[j, i] = exact.value
            for (i, j), entry in self._entries.items():
                values[i, j] = values[j, i] = entry.value
            self.history.append((self.products, values))
            self._note_at = self.products * 1.1
