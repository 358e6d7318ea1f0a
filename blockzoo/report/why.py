"""Costs by operation in sentences: where they go, what limits them, and where two networks differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blockzoo.core import units
from blockzoo.core.breakdown import ADDS_UP, Breakdown
from blockzoo.core.roofline import KINDS, Bound, Group, Machine, Operation, Timed, by_kind, together

SMALL = 0.05
"""Of the costs, a share that a sentence does not speak of."""
WORTH_SAYING = 0.2
"""Of the costs, the share that must go elsewhere than the multiply-adds for a sentence to say so."""
NAMED = 3
"""Kinds in a sentence."""
CLEARLY = 1.05
"""Of a limit, a share that is more than it."""
OVER = (
    "More than 100% of a limit is faster than what was measured as one: a convolution by an algorithm with fewer "
    "multiplications, data that stays in a cache from one operation to the next, or a machine that was busier then."
)
ROOFS = {"compute": "the FLOPs", "memory": "the bytes", "calls": "the calls"}


def why(
    subject: str, operations: Sequence[Operation] | Sequence[Timed], machine: Machine | None = None
) -> str:
    """One sentence: which operations cost more than their multiply-adds say, and what limits them.

    The cost is their time, or without times the bytes that they move.

    Args:
        subject: whose operations they are.
        operations: all of them.
        machine: on which they were timed.

    Examples:
        >>> convolution = Operation("a", "aten.convolution", "dense convolutions", 900, 400, 100)
        >>> norm = Operation("b", "aten.native_batch_norm", "norms", 0, 250, 250)
        >>> why("Net", [convolution, norm])
        'Net: 50% of the bytes are moved by norms, with 0.0% of the MACs (0 FLOP/byte).'
    """
    whole, kinds = together("all", operations), by_kind(operations)
    cost: Callable[[Group], float] = (lambda g: g.ms) if whole.timed else (lambda g: float(g.bytes_moved))
    if not cost(whole):
        return f"{subject}: no operation costs anything."

    def excess(group: Group) -> float:
        return cost(group) / cost(whole) - (group.macs / whole.macs if whole.macs else 0.0)

    of_weight = [group for group in kinds if cost(group) >= SMALL * cost(whole)]
    named = [group for group in sorted(of_weight, key=excess, reverse=True) if excess(group) > 0][:NAMED]
    follows = sum(map(excess, named)) < WORTH_SAYING
    if follows:
        named = sorted(of_weight, key=lambda group: group.macs, reverse=True)[:NAMED]
        named = [group for group in named if group.macs >= SMALL * whole.macs] or named[:1]
    chosen = together("", [one for group in named for one in (group.timed or group.operations)])
    of_cost, of_macs = share(cost(chosen), cost(whole)), share(chosen.macs, whole.macs)
    names = _listed([group.kind for group in named])
    what = "time" if whole.timed else "bytes"
    if follows:
        says = f"the MACs tell the {what}: {of_cost} of the {what} and {of_macs} of the MACs are in {names}"
    elif whole.timed:
        moved = units.size(chosen.bytes_moved)
        says = f"{of_cost} of the time is in {names}, which move {moved} for {of_macs} of the MACs"
    else:
        says = f"{of_cost} of the bytes are moved by {names}, with {of_macs} of the MACs"
    bound = f": {_said(machine.bound(chosen.timed), chosen)}" if machine is not None and chosen.timed else ""
    return f"{subject}: {says} ({intensity(chosen)} FLOP/byte){bound}."


def _said(bound: Bound, group: Group) -> str:
    reached = f"{bound.reached:.0%}"
    if bound.limit == "none":
        return f"far from every limit, as {ROOFS[bound.roof]} would take {reached} of that time"
    if bound.limit == "calls":
        number = len(group.operations)
        return f"limited by their number, as {number} calls that compute nothing would take {reached} of that time"
    return f"{bound.limit}-bound, at {reached} of what the machine can"


def difference(first: Breakdown, second: Breakdown) -> str:
    """One sentence: how much longer the second takes, and in which operations."""
    a, b = first.all, second.all
    by_size = sorted(paired(first, second), key=lambda pair: -abs(pair[2].ms - pair[1].ms))
    parts = [
        f"{kind} {after.ms - before.ms:+.3g} ms (MACs from {units.number(before.macs)} to {units.number(after.macs)}, bytes from "
        f"{units.size(before.bytes_moved)} to {units.size(after.bytes_moved)})"
        for kind, before, after in by_size
        if abs(after.ms - before.ms) >= SMALL * min(a.ms, b.ms)
    ][:NAMED]
    macs = f"{b.macs / a.macs:.2f} times the MACs" if a.macs else f"{units.number(b.macs)} MACs for none"
    where = "; ".join(parts) if parts else f"no kind of operation differs by {SMALL:.0%} of it"
    times = f"{b.ms / a.ms:.2f} times as long as {first.label} ({b.ms:.3g} for {a.ms:.3g} ms)"
    return f"{second.label} takes {times} with {macs}: {where}."


def paired(first: Breakdown, second: Breakdown) -> list[tuple[str, Group, Group]]:
    """Each kind that either has, with the operations of both."""
    one, other = ({group.kind: group for group in by_kind(b.timed)} for b in (first, second))
    none = Group("", ())
    return [
        (kind, one.get(kind, none), other.get(kind, none)) for kind in KINDS if kind in one or kind in other
    ]


def added_up(breakdown: Breakdown) -> str:
    """How the operations' times compare with that of the whole, and what timing them costs."""
    parts, whole, calls = breakdown.parts, breakdown.whole, len(breakdown.whole_ms)
    sentences = [
        f"Parts {parts:.3g} ms, whole {whole:.3g} ms (medians of n = {calls} calls each, taken in turns). A call whose "
        f"operations are timed takes {breakdown.watched / whole:.2f} times as long as the whole."
    ]
    if not breakdown.adds_up:
        sentences.append(f"? The parts do not add up to the whole within {ADDS_UP:.0%}.")
    if not breakdown.steady:
        sentences.append(
            f"? Other work disturbed the calls: the medians of single operations, as in the table, add up to "
            f"{breakdown.all.ms:.3g} ms."
        )
    if breakdown.doubt:
        sentences.append(f"? The whole: {breakdown.doubt}.")
    return "\n".join(sentences)


def beyond_limits(breakdowns: Sequence[Breakdown], machine: Machine) -> list[str]:
    """A remark, where operations were faster than what was measured as a limit."""
    groups = [group for b in breakdowns for group in (*by_kind(b.timed), *each(b.timed))]
    return [OVER] if any(machine.bound(group.timed).reached > CLEARLY for group in groups) else []


def each(operations: Sequence[Operation] | Sequence[Timed]) -> list[Group]:
    """Groups of one operation."""
    return [together("", [one]) for one in operations]


def share(part: float, whole: float) -> str:
    """Of a whole, in percent.

    Examples:
        >>> share(1, 3), share(1, 30)
        ('33%', '3.3%')
    """
    of_one = part / whole if whole else 0.0
    return f"{of_one:.1%}" if of_one < 0.1 else f"{of_one:.0%}"


def intensity(group: Group) -> str:
    """FLOPs a byte; a dash where nothing is moved."""
    return "-" if group.intensity is None else f"{group.intensity:.3g}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
