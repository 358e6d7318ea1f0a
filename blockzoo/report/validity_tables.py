"""Validity as a table: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.core.typeset import HIGH, KEY, TextTable, name, number, prose
from blockzoo.report.agreement_tables import cells_of, figures_of
from blockzoo.report.validity import MEANING, Validity

COLUMNS = (
    name("worths alone against"),
    name("at"),
    number("n", importance=HIGH),
    number("tau", importance=KEY),
    number("without noise", importance=HIGH),
    number("alone again"),
    number("other again"),
    prose("the orders", HIGH),
    number("Spearman"),
)
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


def validity_tables(made: Sequence[Validity], missing: Sequence[str]) -> list[TextTable]:
    """A table for each comparable group; below the last what each kind of comparison tells and does not, and what could not
    be compared.
    """
    notes = dict.fromkeys(one.note for one in made if one.note)
    reasons = dict.fromkeys(text for one in made if (text := one.agreement.why or one.agreement.remark))
    latest = {one.kind: one for one in made}
    below = [
        *(f"- {one.sentence}. It tells {MEANING[kind]}." for kind, one in latest.items()),
        *(f"- {text}" for text in (*notes, *reasons)),
        *(f"- not compared: {why}" for why in missing),
    ]
    groups = list(dict.fromkeys(one.group for one in made))
    tables = []
    for group in groups:
        lines = [
            (one.other, one.position, *cells_of(one.agreement), f"{one.agreement.rho:+.2f}")
            for one in made
            if one.group == group
        ]
        paragraphs = [TOLD, group, *(below if group == groups[-1] else ())]
        tables.append(
            TextTable("Do worths alone hold elsewhere", COLUMNS, lines, "\n".join(filter(None, paragraphs)))
        )
    return tables
