"""Validity as a table: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.report.agreement_tables import cells_of, figures_of
from blockzoo.report.tables import as_cells, as_text, empty_table
from blockzoo.report.validity import MEANING, Validity

if TYPE_CHECKING:
    from rich.console import Group

HEADS = (
    "worths alone against", "at", "n", "tau", "without noise", "alone again", "other again", "the orders", "Spearman",
)  # fmt: skip
LEFT = ("worths alone against", "at", "the orders")
TOLD = (
    "tau: Kendall's tau-b, 1 for the same order, 0 for unrelated ones, -1 for the reverse; without noise: holds tau of true "
    "values in 95 % of tables; again: tau that two repetitions of the trainings alone, or of the other, would have; -: not known"
)


def validity_rows(made: Sequence[Validity], missing: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each comparison, then one for each that there is not."""
    rows = [
        {
            "kind": one.kind,
            "other": one.other,
            "position": one.position,
            "group": one.group,
            **figures_of(one.agreement),
            "sentence": one.sentence,
            "meaning": MEANING[one.kind],
            "note": one.note,
        }
        for one in made
    ]
    return rows + [dict.fromkeys(rows[0] if rows else ("why",), None) | {"why": why} for why in missing]


def validity_tables(made: Sequence[Validity], missing: Sequence[str]) -> Group:
    """One table, what each kind of comparison tells and does not, and what could not be compared."""
    from rich.console import Group
    from rich.text import Text

    tables = []
    for group in dict.fromkeys(one.group for one in made):
        table = empty_table("Do worths alone hold elsewhere", f"{TOLD}\n{group}".strip())
        for name in HEADS:
            table.add_column(as_text(name), justify="left" if name in LEFT else "right", overflow="fold")
        for one in made:
            if one.group == group:
                cells = (one.other, one.position, *cells_of(one.agreement), f"{one.agreement.rho:+.2f}")
                table.add_row(*as_cells(cells))
        tables.append(table)
    notes = dict.fromkeys(one.note for one in made if one.note)
    reasons = dict.fromkeys(text for one in made if (text := one.agreement.why or one.agreement.remark))
    sentences = [
        f"- {one.sentence}. It tells {MEANING[one.kind]}."
        for kind in dict.fromkeys(one.kind for one in made)
        for one in [next(of for of in reversed(made) if of.kind == kind)]
    ]
    lines = [
        *sentences,
        *(f"- {text}" for text in (*notes, *reasons)),
        *(f"- not compared: {why}" for why in missing),
    ]
    return Group(*tables, *(Text(line) for line in lines))
