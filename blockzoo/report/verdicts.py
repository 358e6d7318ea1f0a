"""Comparisons as tables: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from blockzoo.report.comparison import ENOUGH_SIGNS, Comparison, Difference
from blockzoo.report.statistics import describe_group
from blockzoo.report.tables import as_cells, as_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

OF_ONE_PAIR = (
    "position",
    "{0}, %",
    "{1}, %",
    "difference, points",
    "verdict",
    "seeds",
    "found with 80 %",
    "sign flips",
)
OF_ALL_PAIRS = ("position", "block", "against", "difference, points", "verdict", "seeds")


def comparison_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """One row for each difference, accuracies as fractions."""
    return [
        {
            "group": describe_group(comparison.group),
            "column": comparison.column,
            "position": difference.position or "mean",
            "block": difference.block,
            "other": difference.other,
            "mean": difference.means[0],
            "other_mean": difference.means[1],
            "difference": difference.value,
            "low": difference.interval[0] if difference.interval else None,
            "high": difference.interval[1] if difference.interval else None,
            "verdict": difference.verdict,
            "p": difference.p,
            "sign_flips_p": difference.sign_flips,
            "detectable": difference.detectable,
            "seeds": difference.n,
            "degrees_of_freedom": difference.degrees,
            "shared_variance": bool(difference.cells),
        }
        for comparison in comparisons
        for difference in comparison.differences
    ]


def comparison_tables(comparisons: Iterable[Comparison]) -> Group:
    """One table for each comparable group."""
    from rich.console import Group

    return Group(*(_drawn(comparison) for comparison in comparisons))


def _drawn(comparison: Comparison) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    pairs = list(dict.fromkeys((d.block, d.other) for d in comparison.differences))
    alone = len(pairs) == 1
    title = f"{pairs[0][0]} against {pairs[0][1]}; " if alone else ""
    table = Table(
        title=as_text(title + describe_group(comparison.group)),
        title_justify="left",
        caption=as_text(_told(comparison)),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in [name.format(*pairs[0]) for name in OF_ONE_PAIR] if alone else OF_ALL_PAIRS:
        left = name in ("position", "block", "against", "verdict")
        table.add_column(as_text(name), justify="left" if left else "right", overflow="fold")
    for difference in comparison.differences:
        table.add_row(*as_cells(_line(difference) if alone else _short_line(difference)))
    return table


def _short_line(difference: Difference) -> tuple[str, ...]:
    """The better block first."""
    first = difference if difference.value >= 0 else difference.the_other_way()
    return (first.position, first.block, first.other, _difference(first), first.verdict, str(first.n))


def _line(difference: Difference) -> tuple[str, ...]:
    smallest, flips = difference.detectable, difference.sign_flips
    return (
        difference.position or "mean",
        *(f"{100 * mean:.2f}" for mean in difference.means),
        _difference(difference),
        difference.verdict,
        str(difference.n),
        "" if smallest is None else f"{100 * smallest:.2f}",
        f"needs {ENOUGH_SIGNS} seeds"
        if difference.n < ENOUGH_SIGNS
        else ""
        if flips is None
        else f"p = {flips:.3f}",
    )


def _difference(difference: Difference) -> str:
    half = f" ± {100 * (difference.interval[1] - difference.value):.2f}" if difference.interval else ""
    return f"{100 * difference.value:+.2f}{half}"


def _told(comparison: Comparison) -> str:
    """How the differences were judged."""
    accuracy = "test" if comparison.column == "test_acc" else "validation"
    first = (
        f"{accuracy} accuracy over the seeds that both have; ± half of the 95 % interval of the difference, "
    )
    judged = [d for d in comparison.differences if d.error is not None]
    if not judged:
        return f"{first}which needs more seeds"
    several = len({(d.block, d.other) for d in comparison.differences}) > 1
    holm = "; intervals and verdicts after Holm's correction over all pairs" if several else ""
    if comparison.shared and comparison.deviation:
        how = (
            f"from what block, position and seed leave: {100 * comparison.deviation:.2f} points in each training, "
            f"{judged[0].degrees} degrees of freedom"
        )
    else:
        how = "from its own seeds alone: the table's cells do not vary alike"
    return f"{first}{how}{holm}"
