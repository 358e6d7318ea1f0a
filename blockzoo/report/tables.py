"""The results as tables: for the terminal, and in Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from blockzoo.core.quantity import OnTheClock, quantities
from blockzoo.core.table import REPORTED, REPRODUCED
from blockzoo.core.typeset import HIGH, KEY, LOW, Column, TextTable, as_markdown, name, number
from blockzoo.core.units import scaled
from blockzoo.report.accuracies import WORDS, left_out, left_out_words
from blockzoo.report.estimates import Estimate
from blockzoo.report.groups import Row, describe_group, is_of_a_search, is_of_rates, rates_at_ends
from blockzoo.report.summaries import Summary, Time, summarise
from blockzoo.report.trainings import older_words

OF_TIER = {
    REPORTED: "handed in by others, and not rerun here",
    REPRODUCED: "handed in by others, and a rerun agreed",
}
"""What is said of rows of others."""
HEADED = [quantity for _, quantity in sorted(quantities().items()) if quantity.heading[0]]
COSTS = {quantity.name: quantity.heading for quantity in HEADED if not isinstance(quantity, OnTheClock)}
TIMES = {quantity.name: quantity.heading[0] for quantity in HEADED if isinstance(quantity, OnTheClock)}
TIMES |= {f"stage_{name}": f"stage, {heading}" for name, heading in TIMES.items()}
IMPORTANCE = {"ms": 6, "stage, ms": 4, "params": 4}
"""Of headings of costs and times; others are in the middle."""


def _columns() -> tuple[Column, ...]:
    costs = [text.rpartition(", ") for text, _ in COSTS.values()]
    return (
        name("block"),
        name("position"),
        number("test", "%", KEY),
        number("validation", "%", LOW),
        number("n", importance=HIGH),
        *(number(what, unit, IMPORTANCE.get(what, 5)) for what, _, unit in costs),
        *(number(text, importance=IMPORTANCE.get(text, 5)) for text in TIMES.values()),
    )


HEADER = tuple(column.heading for column in _columns())


def results_table(rows: Iterable[Row]) -> list[TextTable]:
    """One table per comparable group, the best first within each position."""
    return list(tables(rows))


CAPTION = (
    "accuracies: mean ± half of the 95 % interval over n seeds, where n is 3 or more; ms: median latency of one image ± the "
    "farther end of its 95 % interval, ~ where it has none"
)


def caption(members: Iterable[Summary]) -> str:
    """What the columns say, how the times were taken, and which of them are doubtful."""
    members = list(members)
    ways = list(dict.fromkeys(s.timed_on for s in members if s.timed_on))
    doubtful = [
        f"{s.block}{'/' + s.position if s.position else ''}{', stage' * (name != 'latency_ms')}: {time.doubt}"
        for s in members
        for name, time in s.times.items()
        if time.doubt
    ]
    text = CAPTION + (f"; on {ways[0]}" if ways else "") + _known_by(members)
    of_rate: dict[float, list[str]] = defaultdict(list)
    for s in members:
        if s.lr is not None and s.block not in of_rate[s.lr]:
            of_rate[s.lr].append(s.block)
    for rate in sorted(of_rate):
        text += f"\nlr {rate:g}: {', '.join(sorted(of_rate[rate]))}"
    text += _ends(members)
    others = dict.fromkeys(tier for s in members for tier in s.of_others)
    text += f"\n{'; '.join(f'{tier}: {OF_TIER[tier]}' for tier in others)}" if others else ""
    older = [
        f"{'/'.join(filter(None, (s.block, s.position)))}: {', '.join(older_words(s.older))}"
        for s in members
        if s.older
    ]
    text += f"\nleft out: {'; '.join(older)}" if older else ""
    for compared, beside in ((True, ""), (False, ", and is in no verdict")):
        off = [
            f"{s.block}/{s.position} {s.off_budget:.3g}"
            for s in members
            if s.off_budget is not None and s.compared == compared
        ]
        text += f"\n! costs so many times its budget{beside}: {', '.join(off)}" if off else ""
    return text + (f"\n? not to be taken as sure: {'; '.join(doubtful)}" if doubtful else "")


def _known_by(members: Sequence[Summary]) -> str:
    """How the intervals of the accuracy that is shown first are known; a line of its own, "" where there are none."""
    column = "test_acc" if any("test_acc" in s.accuracies for s in members) else "val_acc"
    shown = [s for s in members if column in s.accuracies and s.accuracies[column].interval]
    if not shown:
        return ""
    spread = shown[0].spreads.get(column)
    own = "each by its own seeds: the cells do not vary alike, or are too few to tell"
    return f"\nintervals of the {WORDS[column]}: {own if spread is None else spread.words}"


def _ends(members: Sequence[Summary]) -> str:
    """Of one group, see `rates_at_ends`; a line of its own."""
    among = [float(rate) for s in members[:1] for rate in str(dict(s.group).get("lr_among") or "").split()]
    chosen = {s.block: s.lr for s in members if s.lr is not None}
    note = rates_at_ends(list(chosen.values()), among) if among else ""
    return note and f"\n{note}"


def markdown_table(rows: Iterable[Row]) -> str:
    """The same in Markdown."""
    return "\n".join(map(as_markdown, tables(rows)))


def tables(rows: Iterable[Row]) -> Iterator[TextTable]:
    """For each comparable group its table."""
    rows = list(rows)
    lacking = left_out(rows, "test_acc")
    groups = [(group, list(members)) for group, members in groupby(summarise(rows), key=lambda s: s.group)]
    for group, members in groups:
        ordered: list[Summary] = []
        for _, cell in groupby(members, key=lambda s: s.position):
            ordered += sorted(cell, key=lambda s: -_rank(s))
        tested = any("test_acc" in s.accuracies for s in ordered)
        notes = (
            caption(ordered),
            left_out_words(lacking[group], "test_acc") if tested else "",
            of_searches(rows) if group == groups[-1][0] else "",
        )
        lines, text = [_line(s) for s in ordered], "\n".join(filter(None, notes))
        yield TextTable(describe_group(group), _columns(), lines, text, parted_by=1)


def of_searches(rows: Iterable[Row]) -> str:
    """How many trainings stand in no table since something was chosen by them; "" where there is none."""
    counts = Counter(
        "learning rates" if is_of_rates(row) else "blocks, round by round"
        for row in rows
        if is_of_a_search(row)
    )
    listing = ", ".join(f"{count:,} that chose {what}" for what, count in counts.items())
    return listing and f"in no table, since what is chosen by its accuracy looks better than it is: {listing}"


def _rank(summary: Summary) -> float:
    accuracy = summary.accuracies.get("test_acc") or summary.accuracies.get("val_acc")
    return accuracy.mean if accuracy else -1.0


def _line(summary: Summary) -> tuple[str, ...]:
    best = summary.accuracies.get("test_acc") or summary.accuracies.get("val_acc")
    counts = {**summary.of_others, **summary.not_ok}
    lost = ", ".join(f"{count} {what}" for what, count in counts.items())
    n = f"{best.n if best else 0}{f' ({lost})' if lost else ''}"
    macs = summary.costs.get("macs") or _half(summary.costs.get("flops"))
    costs = {**summary.costs, "macs": macs}
    return (
        (summary.block or "-") + " !" * (summary.off_budget is not None),
        summary.position or "-",
        _percent(summary.accuracies.get("test_acc")),
        _percent(summary.accuracies.get("val_acc")),
        n,
        *(scaled(costs.get(name), unit) for name, (_, unit) in COSTS.items()),
        *(_milliseconds(summary.times.get(name)) for name in TIMES),
    )


def _percent(accuracy: Estimate | None) -> str:
    return "-" if accuracy is None else accuracy.text(2, 100)


def _milliseconds(time: Time | None) -> str:
    """ "1.70 ± 0.05", "~1.70" without an interval, "1.70 ± 0.05 ?" where it is doubtful."""
    if time is None:
        return "-"
    text = f"~{scaled(time.ms, 1)}"
    if time.interval is not None:
        text = f"{scaled(time.ms, 1)} ± {max(time.interval[1] - time.ms, time.ms - time.interval[0]):.2g}"
    return text + " ?" * bool(time.doubt)


def _half(flops: float | None) -> float | None:
    return None if flops is None else flops / 2
