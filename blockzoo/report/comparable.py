"""One comparable group of a table: its rows, and what is computed of them once for all that is shown of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from blockzoo.core.contracts import STAGES
from blockzoo.report.accuracies import WORDS, column_of, left_out, left_out_words
from blockzoo.report.additive import Fitted, Table, fitted_to, positions_of, tables_of
from blockzoo.report.comparison import Comparison, verdicts
from blockzoo.report.groups import Row, describe_group, group_of
from blockzoo.report.trainings import remarks


@dataclass(frozen=True)
class Comparable:
    """Rows that may be compared.

    Args:
        group: what they have in common.
        rows: of it, failed ones too.
    """

    group: tuple[tuple[str, object], ...]
    rows: list[Row]

    @cached_property
    def column(self) -> str:
        """The accuracy that it is of."""
        return column_of(self.rows)

    @cached_property
    def left_out(self) -> str:
        """Which of its trainings have none, as a clause; empty where all do."""
        return left_out_words(left_out(self.rows, self.column).total(), self.column)

    @cached_property
    def table(self) -> Table:
        """Of blocks at positions; empty where there is none."""
        of_blocks = [row for row in self.rows if not _is_crossed(row)]
        return tables_of(of_blocks, self.column).get(self.group, Table())

    @cached_property
    def fitted(self) -> Fitted:
        """To the table."""
        return fitted_to(self.table)

    @cached_property
    def comparison(self) -> Comparison | None:
        """All pairs at each position, as `results --verdicts` has them; None where there is no pair."""
        of_blocks = [row for row in self.rows if not _is_crossed(row)]
        comparison = next(iter(verdicts(of_blocks, column=self.column)), None)
        return comparison if comparison is not None and comparison.differences else None

    @cached_property
    def everything(self) -> tuple[Table, Fitted]:
        """The table with networks of several blocks too, and what is fitted to it."""
        table = tables_of(self.rows, self.column).get(self.group, Table())
        return table, fitted_to(table)

    @property
    def crossed(self) -> list[Row]:
        """Its networks with a block in every stage."""
        return [row for row in self.rows if _is_crossed(row)]

    @property
    def remarks(self) -> str:
        """Which trainings are in no mean, and which others handed in; empty for none."""
        return remarks(self.table.trainings)

    @property
    def positions(self) -> list[str]:
        """Of the table."""
        return positions_of(self.table)

    @property
    def words(self) -> str:
        """What is in common, the seeds of each block, or the trainings of networks of several, and what is left out."""
        counts = {len(of) for of in self.table.values()}
        seeds = " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""
        sample = f"{seeds} seed{'' if seeds == '1' else 's'}" if seeds else f"{len(self.crossed)} trainings"
        return ", ".join(part for part in (describe_group(self.group), sample, self.left_out) if part)

    @property
    def accuracy(self) -> str:
        """The name of the column in words."""
        return WORDS[self.column]

    @property
    def spread(self) -> str:
        """How the error of a difference is known, as a clause."""
        if self.fitted.shared and self.fitted.deviation:
            return (
                f"from what block, position and seed leave in the whole table ({100 * self.fitted.deviation:.2f} points in each "
                f"training, {self.fitted.degrees} degrees of freedom)"
            )
        return "each from its own seeds alone: the table's cells do not vary alike, or have too few"


def _is_crossed(row: Row) -> bool:
    return str(row["block"]).startswith(f"{STAGES}:")


def comparables(rows: Iterable[Row]) -> list[Comparable]:
    """The groups of a table, in its order."""
    groups: dict[tuple[tuple[str, object], ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[group_of(row)].append(row)
    return [Comparable(group, of) for group, of in groups.items()]
