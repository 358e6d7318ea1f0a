"""Do earlier conclusions about blocks hold? A claim says one thing of some blocks; each group of comparable rows judges it.

Compared is always with the *other* blocks that all groups at hand have, so that no judgement changes from one group to another
because other blocks are there. What holds, and what contradicts, is said only as far as intervals allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from blockzoo.core.documents import checked, decoded, from_yaml
from blockzoo.core.errors import UsageError
from blockzoo.report.additive import Fitted, Table, fitted_to, positions_of, tables_of
from blockzoo.report.difference import MARGIN, Difference, corrected
from blockzoo.report.effects import contrast
from blockzoo.report.groups import Row
from blockzoo.report.summaries import Time, summarise
from blockzoo.report.trainings import remarks

Claimed = Literal["accurate everywhere", "less accurate", "fastest"]
Judgement = Literal["holds", "does not hold", "not shown", "no record"]
KINDS: dict[Claimed, str] = {
    "accurate everywhere": "at each position more accurate than the mean of the other blocks there; contradicted by one position "
    "where it is less accurate, or equal to it within {margin:g} points",
    "less accurate": "less accurate than the mean of the other blocks, over all positions; contradicted where it is more "
    "accurate, or equal to it within {margin:g} points",
    "fastest": "the deployed stage of no other block is as fast at any position; contradicted where one is faster, by more than "
    "{apart:.0f} %",
}
"""What a claim of each kind means."""
CLAIMS = Path(__file__).parent / "claims.yaml"
APART = 1.1
"""Times that differ by less, as a ratio, are not told apart: one pair differed by up to 8 % from one measurement to the next."""
LEAST_OTHERS = 3
"""Blocks whose mean is something that a block can be better or worse than."""


@dataclass(frozen=True)
class Claim:
    """A sentence about blocks.

    Args:
        text: as it was said.
        kind: what is meant by it.
        blocks: that it is said of.
        source: who said it, of what.
    """

    text: str
    kind: Claimed
    blocks: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Judged:
    """A claim about one block, by one group of comparable rows.

    Args:
        claim: the sentence.
        block: one of those that it is said of.
        group: what the rows have in common.
        judgement: whether it holds.
        why: in words: at which position, or against which blocks.
        differences: from the mean of the others, that it was judged by; none of a claim about time.
        others: blocks that it was compared with.
        left_out: blocks that all groups have, and not at every position.
        remarks: which trainings of the group are in no mean, and which others handed in; empty for none.
    """

    claim: Claim
    block: str
    group: tuple[tuple[str, object], ...]
    judgement: Judgement
    why: str
    differences: tuple[Difference, ...] = ()
    others: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    remarks: str = ""


@dataclass(frozen=True)
class _Entry:
    claim: str
    kind: Claimed
    blocks: list[str]


@dataclass(frozen=True)
class _Document:
    source: str
    claims: list[_Entry]


def claims_of(path: Path = CLAIMS) -> list[Claim]:
    """The claims that a YAML file lists.

    Raises:
        DataError: it lists none, or one of an unknown kind or without blocks.
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file of claims; blockzoo/report/claims.yaml shows how one is written"
        )
    read: _Document = checked(
        _Document, from_yaml(decoded(path.read_bytes(), path.name), path.name), path.name
    )
    claims = [
        Claim(entry.claim, entry.kind, tuple(dict.fromkeys(entry.blocks)), read.source)
        for entry in read.claims
    ]
    if not claims or not all(claim.blocks for claim in claims):
        raise UsageError(f"{path.name}: list claims, and of each the blocks that it is said of")
    return claims


def judged_claims(
    rows: Iterable[Row], claims: Sequence[Claim], *, column: str = "test_acc", margin: float = MARGIN
) -> list[Judged]:
    """Each claim about each of its blocks, by each group of comparable rows that has one of them.

    Args:
        rows: of tables of results.
        claims: to be judged.
        column: the accuracy.
        margin: what counts as equal, as a fraction.

    Raises:
        UsageError: no group has a block that a claim is said of, beside `LEAST_OTHERS` that all groups have.
    """
    rows = list(rows)
    claimed = list(dict.fromkeys(block for claim in claims for block in claim.blocks))
    tables = {
        group: table
        for group, table in tables_of(rows, column).items()
        if {block for block, _ in table} & {*claimed}
    }
    seen = [{b for b, _ in table} for table in tables.values()]
    everywhere = [
        {b for b in names if _is_everywhere(b, table)}
        for names, table in zip(seen, tables.values(), strict=True)
    ]
    common = set.intersection(*everywhere) if tables else set()
    lacking = tuple(sorted(set.intersection(*seen) - common)) if tables else ()
    if len(common) < LEAST_OTHERS + 1:
        raise UsageError(
            f"claims about {', '.join(claimed)} are judged beside {LEAST_OTHERS} or more other blocks that all groups of "
            f"comparable rows have; these {len(tables)} have {', '.join(sorted(common)) or 'none'} in common, at every position: "
            "name fewer tables, or train more"
        )
    times = _times_of(rows)
    return [
        replace(one, left_out=lacking, remarks=remarks(table.trainings))
        for group, table in tables.items()
        for one in _by_group(group, table, times.get(group, {}), (claims, common, margin))
    ]


def _is_everywhere(block: str, table: Table) -> bool:
    """Whether it is at every position of the table."""
    return all((block, place) in table for place in positions_of(table))


Times = dict[tuple[str, str], Time]


def _times_of(rows: Iterable[Row]) -> dict[tuple[tuple[str, object], ...], Times]:
    """Of deployed stages, all of a group taken in one way."""
    times: dict[tuple[tuple[str, object], ...], Times] = {}
    for summary in summarise(rows):
        if (time := summary.times.get("stage_latency_ms")) is not None and summary.compared:
            times.setdefault(summary.group, {})[summary.block, summary.position] = time
    return times


def _by_group(
    group: tuple[tuple[str, object], ...],
    table: Table,
    times: Times,
    asked: tuple[Sequence[Claim], set[str], float],
) -> list[Judged]:
    """All claims by one group; probabilities after Holm's correction over all differences that they are judged by."""
    claims, common, margin = asked
    fitted, places = fitted_to(table), tuple(positions_of(table))
    sums = {
        (block, at): _from_others(table, fitted, block, at, (sorted(common - {block}), margin))
        for claim in claims
        for block in claim.blocks
        if _is_everywhere(block, table)
        for at in _compared_at(claim.kind, places)
    }
    judged_by = {(d.block, d.position): d for d in corrected(list(sums.values()))}
    judgements = []
    for claim in claims:
        for block in claim.blocks:
            others = tuple(sorted(common - {block}))
            differences = tuple(
                judged_by[block, at[0] if len(at) == 1 else ""]
                for at in _compared_at(claim.kind, places)
                if (block, at) in sums
            )
            if claim.kind == "fastest":
                judgement, why = _fastest(block, others, places, times)
            else:
                judgement, why = _judged(claim.kind, differences)
            judgements.append(Judged(claim, block, group, judgement, why, differences, others))
    return judgements


def _compared_at(kind: Claimed, places: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Positions, or sets of them, at which a claim of this kind has a difference of accuracies."""
    if kind == "fastest":
        return []
    return [places] if kind == "less accurate" else [(place,) for place in places]


def _from_others(
    table: Table, fitted: Fitted, block: str, places: tuple[str, ...], than: tuple[Sequence[str], float]
) -> Difference:
    """How much more accurate the block is than the mean of the others there, given these and the margin."""
    others, margin = than
    shares = {
        (name, place): (1.0 if name == block else -1 / len(others)) / len(places)
        for place in places
        for name in (block, *others)
    }
    return contrast(table, fitted, block, places, shares, margin)


def _judged(kind: Claimed, differences: Sequence[Difference]) -> tuple[Judgement, str]:
    if not differences:
        return "no record", "the table does not have it at every position"
    wanted, contrary = ("better", "worse") if kind == "accurate everywhere" else ("worse", "better")
    words = {"better": "more accurate", "worse": "less accurate", "equal": "equal"}
    against = [d for d in differences if d.kind in (contrary, "equal")]
    if against:
        reason = ", ".join(f"{words[d.kind]} {_at(d)}" for d in against)
        return "does not hold", reason
    if open_ := [d for d in differences if d.kind != wanted]:
        return "not shown", ", ".join(f"{d.verdict} {_at(d)}" for d in open_)
    return "holds", ", ".join(f"{words[d.kind]} {_at(d)}" for d in differences)


def _at(difference: Difference) -> str:
    return f"at {difference.position}" if difference.position else "over all positions"


def _fastest(block: str, names: Sequence[str], places: Sequence[str], times: Times) -> tuple[Judgement, str]:
    """By intervals of the medians: another stage is faster where its interval lies below."""
    reasons, shown = [], True
    for place in places:
        own = times.get((block, place))
        others = {name: times[name, place] for name in names if (name, place) in times}
        if own is None or own.interval is None or len(others) < len(names):
            return "no record", f"no time with an interval of it, and one of each other, at {place}"
        faster = [
            n for n, t in others.items() if t.interval is not None and APART * t.interval[1] < own.interval[0]
        ]
        slower = [
            n for n, t in others.items() if t.interval is not None and t.interval[0] > APART * own.interval[1]
        ]
        shown &= len(slower) == len(others)
        if faster:
            best = min(faster, key=lambda name: others[name].ms)
            more = f" (and {len(faster) - 1} more)" if len(faster) > 1 else ""
            reasons.append(f"at {place} {best}{more} is {own.ms / others[best].ms:.2g} times as fast")
    if reasons:
        return "does not hold", ", ".join(reasons)
    return ("holds", "fastest at every position") if shown else ("not shown", "others may be as fast")
