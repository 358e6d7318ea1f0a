"""Agreements of orders as tables: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from blockzoo.core.typeset import HIGH, KEY, TextTable, name, number, prose
from blockzoo.report.agreement import Agreement
from blockzoo.report.elsewhere import Elsewhere

AGREEMENT = (
    number("tau", importance=KEY),
    number("without noise", importance=HIGH),
    number("one again"),
    number("another again"),
    prose("the orders", HIGH),
)
"""Columns of `cells_of`, but for the first, which says how many things are in an order."""
COLUMNS = (
    name("what differs"),
    name("one"),
    name("another"),
    name("at"),
    number("blocks", importance=HIGH),
    *AGREEMENT,
)
SAME = prose("both with", KEY)
MOST_SENTENCES = 6
TOLD = (
    "tau: Kendall's tau-b of mean accuracies, 1 for the same order of the blocks, 0 for unrelated ones, -1 for the reverse; "
    "without noise: holds tau of what endless seeds would give in 95 % of tables, each by itself; again: tau that a second "
    "experiment of the same kind, with as many seeds, would have with the first"
)


def agreement_rows(made: Iterable[Elsewhere]) -> list[dict[str, Any]]:
    """One row for each comparison."""
    return [
        {
            "of": "accuracies",
            "setting": one.setting,
            "one": one.values[0],
            "other": one.values[1],
            "also": ", ".join(one.also),
            "position": one.position,
            "group": one.group,
            "column": one.column,
            **figures_of(one.agreement),
            "sentence": one.sentence,
        }
        for one in made
    ]


def figures_of(one: Agreement) -> dict[str, Any]:
    """The numbers of an agreement as cells of a row."""
    low, high = one.interval or (None, None)
    return {
        "blocks": one.things,
        "pairs": one.pairs,
        "tau": one.tau,
        "tau_low": low,
        "tau_high": high,
        "ceiling_one": one.ceilings[0],
        "ceiling_other": one.ceilings[1],
        "spearman": one.rho,
        "verdict": one.verdict,
        "why": one.why or one.remark,
    }


def agreement_tables(made: Sequence[Elsewhere]) -> list[TextTable]:
    """One table of all comparisons, and below it what the first of them mean in words."""
    own = own_words([one.group for one in made])
    lines = []
    for one, same in zip(made, own, strict=True):
        what = one.setting + (f" (and {', '.join(one.also)})" if one.also else "")
        cells = (what, *one.values, one.position or "-", *cells_of(one.agreement))
        lines.append((*cells, same) if any(own) else cells)
    columns = (*COLUMNS, SAME) if any(own) else COLUMNS
    caption = "\n".join([_told(made), *(f"- {one.sentence}" for one in made[:MOST_SENTENCES])])
    return [TextTable("Orders of blocks by accuracy", columns, lines, caption)]


def own_words(texts: Sequence[str]) -> list[str]:
    """Of each the words between commas that not all of them have.

    Examples:
        >>> own_words(["digits, 3 epochs, mid", "digits, 10 epochs, mid"])
        ['3 epochs', '10 epochs']
    """
    parts = [text.split(", ") for text in texts]
    common = set.intersection(*map(set, parts)) if parts else set()
    return [", ".join(word for word in words if word not in common) for words in parts]


def cells_of(one: Agreement) -> tuple[str, ...]:
    """Blocks, tau, its interval, the two ceilings and the verdict."""
    interval = "-" if one.interval is None else f"{one.interval[0]:+.2f} to {one.interval[1]:+.2f}"
    ceilings = ("-" if at is None else f"{at:+.2f}" for at in one.ceilings)
    return (str(one.things), f"{one.tau:+.2f}", interval, *ceilings, one.verdict)


def _told(made: Sequence[Elsewhere]) -> str:
    """How the columns came about; what is the same in all comparisons; what is to be known of some."""
    of = {"test_acc": "test", "val_acc": "validation"}
    accuracies = " and ".join(of[column] for column in of if column in {one.column for one in made})
    shared = [
        word for word in made[0].group.split(", ") if all(word in one.group.split(", ") for one in made)
    ]
    remarks = dict.fromkeys(text for one in made if (text := one.agreement.why or one.agreement.remark))
    parts = [f"{accuracies} accuracy; {TOLD}", ", ".join(shared), *remarks]
    return "\n".join(part for part in parts if part)
