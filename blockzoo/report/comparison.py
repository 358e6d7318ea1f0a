"""Is one block better than another? Differences of paired seeds, with the variance of the whole table, and a verdict in words."""

from __future__ import annotations

import difflib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.outcomes import Outcomes
from blockzoo.report.accuracies import left_out
from blockzoo.report.additive import Fitted, Table, fitted_to, positions_of, tables_of
from blockzoo.report.difference import MARGIN, Difference, corrected
from blockzoo.report.estimates import ROUNDED
from blockzoo.report.groups import Row, name_of
from blockzoo.report.images import over_images
from blockzoo.report.trainings import Cell, diverged, remarks, status_of


@dataclass(frozen=True)
class Comparison:
    """Differences of one comparable group.

    Args:
        group: what its rows have in common.
        column: the accuracy.
        differences: by position, or by size.
        shared: one variance holds for all cells.
        deviation: of what block, position and seed leave, where it is shared.
        left_out: trainings of the group that have no such accuracy.
        remarks: which trainings are in no mean, and which others handed in; empty for none.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    differences: list[Difference]
    shared: bool
    deviation: float | None
    left_out: int = 0
    remarks: str = ""


def compare(
    rows: Iterable[Row],
    block: str,
    other: str,
    *,
    position: str | None = None,
    column: str = "test_acc",
    margin: float = MARGIN,
    outcomes: Callable[[str], Outcomes | None] | None = None,
) -> list[Comparison]:
    """How much better a block is than another, in each comparable group that has both.

    Args:
        rows: of a table of results.
        block: whose accuracy the other's is taken from.
        other: the block that it is compared with.
        position: "early", "mid" or "late" alone; None for each that has both, and the mean over them.
        column: the accuracy.
        margin: what counts as equal, as a fraction.
        outcomes: of single test images, by the fingerprint of a trial; None where there are none.

    Raises:
        UsageError: no group has both, which says which blocks there are; or they are one.
    """
    if block == other:
        raise UsageError(f"{block} is compared with itself: name two blocks")
    comparisons, rows = [], list(rows)
    tables, lacking = tables_of(rows, column), left_out(rows, column)
    for group, table in tables.items():
        places = [p for p in positions_of(table) if {(block, p), (other, p)} <= table.keys()]
        places = [p for p in places if position in (None, p)]
        if not places:
            continue
        fitted = fitted_to(table)
        differences = [difference_of(table, fitted, block, other, (p,), margin) for p in places]
        if outcomes is not None and column == "test_acc":
            differences = [
                replace(
                    d,
                    images=over_images(
                        *(outcomes_of(table, (name, d.position), outcomes) for name in (block, other))
                    ),
                )
                for d in differences
            ]
        if len(places) > 1:
            differences.append(difference_of(table, fitted, block, other, tuple(places), margin))
        judged = (differences, fitted.shared, fitted.deviation)
        notes = remarks(table.trainings, (block, other))
        comparisons.append(Comparison(group, column, *judged, lacking[group], notes))
    if not comparisons:
        raise UsageError(_why_none(tables.values(), rows, (block, other), (position, column)))
    return comparisons


def _why_none(
    tables: Iterable[Table], rows: list[Row], pair: tuple[str, str], asked: tuple[str | None, str]
) -> str:
    """Why no group has both: what became of their trainings, which blocks there are, which of them may be meant."""
    position, column = asked
    cells = [cell for table in tables for cell in table if position in (None, cell[1])]
    there = sorted({name for name, _ in cells})
    became: dict[str, Counter[str]] = {}
    for row in rows:
        name = name_of(row)
        if name in pair and name not in there and position in (None, row.get("position")):
            became.setdefault(name, Counter())[status_of(row)] += 1
    parts = [
        f"no group of comparable rows has both {pair[0]} and {pair[1]} at {position or 'one position'} with a {column}"
    ]
    parts += [
        f"{name}: {', '.join(f'{count} {status}' for status, count in of.items())}"
        for name, of in became.items()
    ]
    parts.append(f"there are {', '.join(there) or 'none'}")
    unknown = [name for name in pair if name not in there and name not in became]
    near = [match for name in unknown for match in difflib.get_close_matches(name, there, n=1)]
    return "; ".join(parts) + (f". Did you mean {' and '.join(near)}?" if near else "")


def outcomes_of(
    table: Table, cell: Cell, outcomes: Callable[[str], Outcomes | None]
) -> dict[object, Outcomes]:
    """What single test images came to in the trainings that a cell of a table is the mean of, by seed.

    Args:
        table: of test accuracies.
        cell: of it.
        outcomes: by the fingerprint of a trial; None where there are none.
    """
    by_seed = {
        seed: outcomes(str(row.get("fingerprint")))
        for of in table.of([cell])
        for seed, row in of.rows.items()
    }
    return {seed: of for seed, of in by_seed.items() if of is not None}


def verdicts(rows: Iterable[Row], *, column: str = "test_acc", margin: float = MARGIN) -> list[Comparison]:
    """All pairs of blocks at each position, the surest first; probabilities after Holm's correction over all of a group.

    Args:
        rows: of a table of results.
        column: the accuracy.
        margin: what counts as equal, as a fraction.
    """
    comparisons, rows = [], list(rows)
    lacking = left_out(rows, column)
    for group, table in tables_of(rows, column).items():
        fitted, differences = fitted_to(table), []
        for place in positions_of(table):
            blocks = sorted(name for name, at in table if at == place)
            pairs = [
                difference_of(table, fitted, a, b, (place,), margin)
                for a, b in itertools.combinations(blocks, 2)
            ]
            differences += pairs
        judged = (corrected(differences), fitted.shared, fitted.deviation)
        comparisons.append(Comparison(group, column, *judged, lacking[group], remarks(table.trainings)))
    return comparisons


def difference_of(
    table: Table, fitted: Fitted, block: str, other: str, places: tuple[str, ...], margin: float
) -> Difference:
    """Over the seeds that both blocks have at all of these positions."""
    columns = [table[name, place] for place in places for name in (block, other)]
    seeds = [seed for seed in columns[0] if all(seed in column for column in columns)]
    means = [
        _mean([table[name, place][seed] for place in places for seed in seeds or table[name, place]])
        for name in (block, other)
    ]
    position, n = places[0] if len(places) == 1 else "", len(seeds)
    own = tuple(
        _mean([table[block, place][seed] - table[other, place][seed] for place in places]) for seed in seeds
    )
    lost = [diverged(table.of((name, place) for place in places)) for name in (block, other)]
    difference = Difference(
        block, other, position, (means[0], means[1]), own, None, 0, 0, None, margin,
        places=len(places), diverged=(lost[0], lost[1]), apart=fitted.apart,
    )  # fmt: skip
    if fitted.shared and fitted.deviation and seeds:
        shares = Counter[Cell]()
        for place in places:
            shares[fitted.networks[block, place]] += 1
            shares[fitted.networks[other, place]] -= 1
        weight = math.sqrt(sum(share**2 for share in shares.values()) / n) / len(places)
        error, degrees, cells = fitted.deviation * weight, fitted.degrees, fitted.cells
    elif n >= 2 and (spread := float(np.std(own, ddof=1))) > ROUNDED * max(map(abs, means)):
        error, degrees, cells = spread / math.sqrt(n), n - 1, 0
    else:
        return difference
    return difference.with_error(error, degrees, cells)


def _mean(values: list[float]) -> float:
    """What `np.mean` gives, to the bit, in a fifth of the time: of all pairs of a large table there are many."""
    return float(np.add.reduce(values)) / len(values)
