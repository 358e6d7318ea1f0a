"""Judged claims as tables: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.core.typeset import HIGH, KEY, TextTable, name, number, prose
from blockzoo.report.claims import APART, KINDS, Judged
from blockzoo.report.difference import Difference
from blockzoo.report.groups import describe_group

COLUMNS = (
    name("block"),
    prose("is claimed to be", HIGH),
    prose("verdict", KEY),
    prose("because", HIGH),
    number("from the others", "points"),
)


def claim_rows(made: Sequence[Judged]) -> list[dict[str, Any]]:
    """One row for each claim, block and group; differences by position as fractions."""
    return [
        {
            "group": describe_group(one.group),
            "claim": one.claim.text,
            "kind": one.claim.kind,
            "source": one.claim.source,
            "block": one.block,
            "verdict": one.judgement,
            "why": one.why,
            "differences": {d.where: d.value for d in one.differences},
            "intervals": {d.where: d.interval for d in one.differences},
            "others": list(one.others),
        }
        for one in made
    ]


def claim_tables(made: Sequence[Judged], margin: float) -> list[TextTable]:
    """A table for each group; below the last what kinds of claims mean, and which judgements differ between groups."""
    groups = list(dict.fromkeys(one.group for one in made))
    return [
        TextTable(
            describe_group(group),
            COLUMNS,
            [_line(one) for one in made if one.group == group],
            "\n".join(_told(made, margin) if group == groups[-1] else ()),
        )
        for group in groups
    ]


def _line(one: Judged) -> tuple[str, ...]:
    return (
        one.block,
        one.claim.kind,
        one.judgement,
        one.why,
        ", ".join(map(_difference, one.differences)) or "-",
    )


def _difference(difference: Difference) -> str:
    half = f" ± {100 * (difference.interval[1] - difference.value):.1f}" if difference.interval else ""
    return f"{100 * difference.value:+.1f}{half}"


def _told(made: Sequence[Judged], margin: float) -> list[str]:
    claims = list(dict.fromkeys(one.claim for one in made))
    others = sorted({name for one in made for name in one.others})
    lacking = sorted({name for one in made for name in one.left_out})
    kinds = dict.fromkeys(claim.kind for claim in claims)
    percent = 100 * (APART - 1)
    return [
        *(f"claimed: {claim.text} ({claim.source})" for claim in claims),
        *(f"{kind}: {KINDS[kind].format(margin=100 * margin, apart=percent)}" for kind in kinds),
        f"the other blocks: {', '.join(others)}, which all groups have, but for the block itself; points: test accuracy less "
        "theirs, at each position, or the mean over them, ± half of the interval at the level at which it was judged (Holm's "
        "correction over all claims of a group); times: deployed stages, 95 % intervals of each median",
        *(
            [f"not among them, as some group has them at some of its positions alone: {', '.join(lacking)}"]
            if lacking
            else []
        ),
        *dict.fromkeys(one.remarks for one in made if one.remarks),
        *changes(made),
    ]


def changes(made: Sequence[Judged]) -> list[str]:
    """In words, which claims one group bears out, or contradicts, and another does not."""
    sentences = []
    for claim, block in dict.fromkeys((one.claim, one.block) for one in made):
        of = [
            one for one in made if (one.claim, one.block) == (claim, block) and one.judgement != "no record"
        ]
        if len({one.judgement for one in of}) > 1:
            each = "; ".join(f"{one.judgement} ({_short(one)})" for one in of)
            sentences.append(f"{block}, {claim.kind}: {each}")
    return sentences


def _short(one: Judged) -> str:
    return str(dict(one.group).get("budget") or "each block at its own cost")
