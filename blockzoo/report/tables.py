"""The results as tables: for the terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from blockzoo.report.statistics import Estimate, Row, Summary, describe_group, summarise

if TYPE_CHECKING:
    from rich.table import Table

HEADER = ("block", "position", "test, %", "validation, %", "n", "MACs, M", "params, k", "ms", "stage, ms")


def results_table(rows: Iterable[Row]) -> list[Table]:
    """One table per comparable group, the best first within each position."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = []
    for title, lines in tables(rows):
        table = Table(
            title=title,
            title_justify="left",
            caption=CAPTION,
            caption_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for index, name in enumerate(HEADER):
            table.add_column(name, justify="left" if index < 2 else "right", no_wrap=True)
        previous = None
        for line in lines:
            if previous not in (None, line[1]):
                table.add_section()
            previous = line[1]
            table.add_row(*line)
        made.append(table)
    return made


CAPTION = "accuracies: mean ± half of the 95 % interval over n seeds; ms: median latency of one image"


def markdown_table(rows: Iterable[Row]) -> str:
    """The same in Markdown."""
    parts = []
    for title, lines in tables(rows):
        head = f"**{title}** ({CAPTION})\n\n| {' | '.join(HEADER)} |\n|{'---|' * 2}{'---:|' * (len(HEADER) - 2)}\n"
        parts.append(head + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def tables(rows: Iterable[Row]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """For each comparable group its title and its lines."""
    for group, members in groupby(summarise(rows), key=lambda s: s.group):
        ordered: list[Summary] = []
        for _, cell in groupby(members, key=lambda s: s.position):
            ordered += sorted(cell, key=lambda s: -_rank(s))
        yield describe_group(group), [_line(s) for s in ordered]


def _rank(summary: Summary) -> float:
    found = summary.accuracies.get("test_acc") or summary.accuracies.get("val_acc")
    return found.mean if found else -1.0


def _line(summary: Summary) -> tuple[str, ...]:
    best = summary.accuracies.get("test_acc") or summary.accuracies.get("val_acc")
    lost = ", ".join(f"{count} {status}" for status, count in summary.not_ok.items())
    n = f"{best.n if best else 0}{f' ({lost})' if lost else ''}"
    costs = summary.costs
    return (
        summary.block,
        summary.position or "-",
        _percent(summary.accuracies.get("test_acc")),
        _percent(summary.accuracies.get("val_acc")),
        n,
        _scaled(costs.get("macs") or _half(costs.get("flops")), 1e6),
        _scaled(costs.get("params_total"), 1e3),
        _scaled(costs.get("latency_ms"), 1),
        _scaled(costs.get("stage_latency_ms"), 1),
    )


def _percent(found: Estimate | None) -> str:
    return "-" if found is None else found.text(2, 100)


def _half(flops: float | None) -> float | None:
    return None if flops is None else flops / 2


def _scaled(value: Any, unit: float) -> str:
    if value is None:
        return "-"
    scaled = value / unit
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"
