"""Tables that several nas commands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blockzoo.cli import screen
from blockzoo.core.typeset import HIGH, KEY, number, prose

if TYPE_CHECKING:
    from blockzoo.nas.ranking.studies import Correlation


def correlations(title: str, ranked: Sequence[Correlation], form: str) -> None:
    """Rank correlations, in their order."""
    lines = [(c.proxy, f"{c.spearman:.3f}", f"{c.kendall_tau:.3f}", str(c.n)) for c in ranked]
    columns = [
        prose("proxy", KEY),
        number("Spearman", importance=KEY),
        number("Kendall tau"),
        number("n", importance=HIGH),
    ]
    table = screen.table(title, columns, lines)
    screen.show(table, [c._asdict() for c in ranked], form, None)
