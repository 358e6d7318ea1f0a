"""Pages of other questions than the isolated design's, where the results have them: blocks in company, runs block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.core.text import plain
from blockzoo.report.comparable import Comparable
from blockzoo.report.crossed import Crossed, crossed_models
from blockzoo.report.difference import Difference
from blockzoo.report.effects import Effects, in_company
from blockzoo.report.groups import describe_group
from blockzoo.report.runs import RunLines
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.worths import QUESTION

BEST = 10
"""Networks whose predictions are shown."""


def company_body(groups: Iterable[Comparable]) -> Markup:
    """What blocks are worth in networks that have a block of their own in every stage; empty where there are none.

    Args:
        groups: that have such networks.
    """
    parts = []
    for of in groups:
        try:
            parts += [_company(model) for model in crossed_models(of.crossed, of.column)]
        except UsageError as error:
            parts.append(tag("p", f"{describe_group(of.group)}: {error}", class_="quiet"))
    return (
        joined([tag("h1", "Worth in company"), tag("p", QUESTION, class_="lead"), *parts]) if parts else EMPTY
    )


def _company(model: Crossed) -> Markup:
    effects = in_company(model)
    by_cell = {(d.block, d.position): d for d in effects.differences}
    blocks = sorted({d.block for d in effects.differences}, key=lambda b: -_mean(by_cell, b))
    lines = [
        (plain(block, lines=False), *(_cell(effects, by_cell.get((block, place))) for place in POSITIONS))
        for block in blocks
    ]
    best = [
        (*(plain(block, lines=False) for block in network), f"{100 * value:.2f}")
        for value, network in model.best(BEST)
    ]
    note = (
        f"Points above the average block at the position, of {len(model.trainings)} trainings; \u00b1: all of the table hold "
        f"together in 95 % of tables; \u25b2 better and \u25bc worse than the average block, after Holm's correction."
        + "".join(f" {text[:1].upper()}{text[1:]}." for text in (model.untold, model.left_out) if text)
    )
    return tag(
        "section", tag("h2", plain(describe_group(model.group), lines=False)), tag("p", note, class_="small"),
        table("Worth in company, points", ("block", *POSITIONS), lines),
        table("Networks that are predicted to be best", (*POSITIONS, "predicted, %"), best, left=(1, 2)),
    )  # fmt: skip


def _mean(by_cell: dict[tuple[str, str], Difference], block: str) -> float:
    values = [of.value for (name, _), of in by_cell.items() if name == block]
    return sum(values) / len(values)


def _cell(effects: Effects, difference: Difference | None) -> str:
    if difference is None:
        return "\u2013"
    interval = effects.together(difference)
    half = f" \u00b1 {100 * (interval[1] - interval[0]) / 2:.2f}" if interval else ""
    sign = {"better": " \u25b2", "worse": " \u25bc"}.get(difference.kind, "")
    return f"{100 * difference.value:+.2f}{half}{sign}".replace("-", "\u2212")


def runs_body(records: Sequence[Record]) -> Markup:
    """Networks trained block by block, one run a line; empty where there is none.

    Args:
        records: of the runs.
    """
    if not records:
        return EMPTY
    runs = RunLines.of(records)
    words = len(runs.settings)
    heads = [*runs.settings, *runs.figures, "status"]
    lines = [[plain(text, lines=False) for text in line] for line in runs.lines]
    left = [*range(1, words), len(heads) - 1]
    lead = "Networks trained block by block: what each run cost and came to on the validation examples, the least loss first."
    return joined(
        [
            tag("h1", "Runs block by block"),
            tag("p", lead, class_="lead"),
            table("Runs", heads, lines, left=left),
        ]
    )
