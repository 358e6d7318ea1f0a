"""Costs by operation as tables and rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.core import units
from blockzoo.core.breakdown import Breakdown
from blockzoo.core.roofline import Bound, Group, Limit, Machine, Operation, by_kind, together
from blockzoo.core.typeset import HIGH, KEY, LOW, Column, TextTable, name, number
from blockzoo.report.why import added_up, each, intensity, paired, share

MOST_LAYERS = 8
"""Single operations that are shown."""


def paper_tables(subject: str, operations: Sequence[Operation], notes: Sequence[str] = ()) -> list[TextTable]:
    """Multiply-adds and bytes by kind, and of the operations that move most."""
    whole = together("all", operations)

    def line(name: str, calls: str, group: Group) -> tuple[str, ...]:
        return (
            name,
            calls,
            units.number(group.macs),
            share(group.macs, whole.macs),
            units.size(group.bytes_read),
            units.size(group.bytes_written),
            share(group.bytes_moved, whole.bytes_moved),
            intensity(group),
        )

    columns = _columns("", "calls", "MACs", "of MACs", "read", "written", "of bytes", "FLOP/byte")
    kinds = [line(g.kind, str(len(g.operations)), g) for g in (*by_kind(operations), whole)]
    most = sorted(operations, key=lambda o: -o.bytes_moved)[:MOST_LAYERS]
    layers = [line(_named(one), one.kind, together("", [one])) for one in most if one.bytes_moved]
    return [
        TextTable(f"{subject}: by operation", columns, kinds),
        TextTable(
            "The operations that move most",
            (columns[0], name("kind", LOW), *columns[2:]),
            layers,
            "\n".join((*_unknown(operations), *notes)),
        ),
    ]


def timed_tables(breakdown: Breakdown, machine: Machine) -> list[TextTable]:
    """Milliseconds, rates and limits by kind, and of the operations that take longest."""
    whole = breakdown.all

    def line(name: str, calls: str, group: Group) -> tuple[str, ...]:
        return (
            name,
            calls,
            f"{group.ms:.3g}",
            share(group.ms, whole.ms),
            share(group.macs, whole.macs),
            units.size(group.bytes_moved),
            intensity(group),
            units.scaled(group.flop_rate, 1e9),
            units.scaled(group.byte_rate, 1e9),
            "" if group is whole else _limited(machine.bound(group.timed)),
        )

    columns = _columns(
        "", "calls", "ms", "of time", "of MACs", "bytes", "FLOP/byte", "GFLOP/s", "GB/s", "limited by"
    )
    kinds = [line(g.kind, str(len(g.operations)), g) for g in (*by_kind(breakdown.timed), whole)]
    longest = each(sorted(breakdown.timed, key=lambda one: -one.ms)[:MOST_LAYERS])
    shown = [(name, *rest) for name, _, *rest in (line(_named(g.operations[0]), "", g) for g in longest)]
    layers = [(*one[:6], one[-1]) for one in shown]
    notes = [added_up(breakdown), *_unknown(whole.operations)]
    return [
        TextTable(f"{breakdown.label}: by operation", columns, kinds, "\n".join(notes)),
        TextTable(
            "The operations that take longest",
            (columns[0], *columns[2:7], columns[-1]),
            layers,
        ),
    ]


def limit_lines(machine: Machine) -> TextTable:
    """The limits of the machine, each with how it was measured."""

    def line(name: str, limit: Limit, rate: str) -> tuple[str, ...]:
        return name, rate, limit.what, f"{limit.ms:.3g}", str(len(limit.samples_ms))

    calls = {limit.what: limit for limit in machine.calls.values()}
    lines = [
        line("compute", machine.compute, f"{machine.compute.rate / 1e9:.3g} GFLOP/s"),
        line("memory", machine.memory, f"{machine.memory.rate / 1e9:.3g} GB/s"),
        line("memory, in a cache", machine.cache, f"{machine.cache.rate / 1e9:.3g} GB/s"),
        *(line("a call", limit, f"{1e3 * limit.ms:.3g} us") for limit in calls.values()),
    ]
    columns = (name(""), number("limit", importance=KEY), name("of what", LOW), *_columns("median ms", "n"))
    return TextTable("Limits of this machine, measured just now", columns, lines)


def compared(first: Breakdown, second: Breakdown) -> TextTable:
    """Where two networks differ, by kind."""
    lines: list[tuple[str, ...]] = [
        (
            kind,
            f"{a.ms:.3g}",
            f"{b.ms:.3g}",
            f"{b.ms - a.ms:+.3g}",
            units.number(a.macs),
            units.number(b.macs),
            units.size(a.bytes_moved),
            units.size(b.bytes_moved),
        )
        for kind, a, b in (*paired(first, second), ("all", first.all, second.all))
    ]
    headings = ["ms", "ms", "difference", "MACs", "MACs", "bytes", "bytes"]
    who = ["first", "second", "", "first", "second", "first", "second"]
    columns = _columns("", *(f"{what}, {of}" if of else what for what, of in zip(headings, who, strict=True)))
    return TextTable(f"First: {first.label}; second: {second.label}", columns, lines)


def operation_rows(subject: str, part: str, operations: Sequence[Operation]) -> list[dict[str, Any]]:
    """One flat row for each operation, on paper."""
    return [
        {
            "subject": subject,
            "part": part,
            "layer": one.layer,
            "operation": one.name,
            "kind": one.kind,
            "macs": one.macs,
            "flops": 2 * one.macs,
            "bytes_read": one.bytes_read,
            "bytes_written": one.bytes_written,
            "flops_per_byte": together("", [one]).intensity,
            "uncounted": ", ".join(one.unknown),
        }
        for one in operations
    ]


def timed_rows(breakdown: Breakdown, machine: Machine) -> list[dict[str, Any]]:
    """One flat row for each operation, with its time and what limits it; the circumstances stand in each."""
    whole = {
        "batch_size": breakdown.batch_size,
        "n": len(breakdown.whole_ms),
        "whole_ms": breakdown.whole,
        "parts_ms": breakdown.parts,
        "adds_up": breakdown.adds_up,
        "steady": breakdown.steady,
        "watched_ms": breakdown.watched,
        "doubt": breakdown.doubt,
        "checked": breakdown.checked,
        "machine_flops_per_s": machine.compute.rate,
        "machine_bytes_per_s": machine.memory.rate,
        "machine_cache_bytes_per_s": machine.cache.rate,
    }
    rows = operation_rows(breakdown.subject, breakdown.part, breakdown.all.operations)
    flat_rows = []
    for row, one in zip(rows, breakdown.timed, strict=True):
        group, bound = together("", [one]), machine.bound([one])
        own = {"ms": one.ms, "flops_per_s": group.flop_rate, "bytes_per_s": group.byte_rate}
        limited = {"limited_by": bound.limit, "roof": bound.roof, "reached": bound.reached}
        flat_rows.append({**row, **own, **limited, **whole})
    return flat_rows


IMPORTANCE = {
    "ms": KEY,
    "of time": KEY,
    "limited by": HIGH,
    "of MACs": HIGH,
    "of bytes": HIGH,
    "n": HIGH,
    "calls": 4,
    "GFLOP/s": LOW,
    "GB/s": LOW,
}
"""Of headings; others are in the middle."""


def _columns(*headings: str) -> tuple[Column, ...]:
    return tuple(
        number(heading, importance=IMPORTANCE.get(heading.partition(",")[0], 5)) if heading else name(heading)
        for heading in headings
    )


def _named(one: Operation) -> str:
    return f"{one.layer or 'network'}: {one.name.removeprefix('aten.')}"


def _limited(bound: Bound) -> str:
    return (
        f"none ({bound.reached:.0%} of {bound.roof})"
        if bound.limit == "none"
        else f"{bound.limit}, {bound.reached:.0%}"
    )


def _unknown(operations: Sequence[Operation]) -> list[str]:
    """What of the operations nobody can count."""
    return [
        f"The {what} lack those of {', '.join(sorted({o.name for o in operations if what in o.unknown}))}."
        for what in ("MACs", "bytes")
        if any(what in o.unknown for o in operations)
    ]
