"""Sentences on where costs go."""

from __future__ import annotations

import pytest

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.roofline import ANY_KIND, Limit, Machine, Operation, Timed
from blockzoo.report.why import OVER, added_up, beyond_limits, difference, why

MACHINE = Machine(
    (Limit("product", 1e9, (10.0,)),), (Limit("copy", 1e9, (100.0,)),), {ANY_KIND: Limit("sum", 1, (0.01,))}
)  # 100 GFLOP/s, 10 GB/s, 10 us a call


def timed(kind: str, macs: int, moved: int, ms: float) -> Timed:
    return Timed(Operation("layer", "aten.x", kind, macs, moved, 0), (ms,))


def breakdown(name: str, *parts: Timed, whole: float = 0.0) -> Breakdown:
    whole = whole or sum(part.ms for part in parts)
    return Breakdown(name, "stage", 1, parts, (whole,), (1.5 * whole,))


DENSE = timed("dense convolutions", 4 * 10**8, 10**6, 10.0)
DEPTHWISE = timed("depthwise convolutions", 10**7, 80 * 10**6, 10.0)
MANY = [timed("views", 0, 0, 0.02) for _ in range(500)]
SLOW = timed("norms", 0, 10**6, 10.0)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([DENSE, DEPTHWISE], "B: 50% of the time is in depthwise convolutions, which move 76.29 MiB for 2.4% of the MACs "
                             "(0.25 FLOP/byte): memory-bound, at 80% of what the machine can."),
        ([DENSE, *MANY], "B: 50% of the time is in views, which move 0 B for 0.0% of the MACs (- FLOP/byte): limited by their "
                         "number, as 500 calls that compute nothing would take 50% of that time."),
        ([DENSE, SLOW], "B: 50% of the time is in norms, which move 976.6 KiB for 0.0% of the MACs (0 FLOP/byte): far from every "
                        "limit, as the bytes would take 1% of that time."),
        ([DENSE], "B: the MACs tell the time: 100% of the time and 100% of the MACs are in dense convolutions "
                  "(800 FLOP/byte): compute-bound, at 80% of what the machine can."),
    ],
)  # fmt: skip
def test_what_time_goes_to(parts: list[Timed], says: str) -> None:
    assert why("B", parts, MACHINE) == says


def test_on_paper_the_bytes_are_what_costs() -> None:
    operations = [one.operation for one in (DENSE, DEPTHWISE)]
    assert why("B", operations) == (
        "B: 99% of the bytes are moved by depthwise convolutions, with 2.4% of the MACs (0.25 FLOP/byte)."
    )
    views = [one.operation for one in MANY]
    assert why("B", views) == "B: no operation costs anything."


def test_where_two_differ() -> None:
    first, second = breakdown("A", DENSE), breakdown("B", DENSE, DEPTHWISE)
    assert difference(first, second) == (
        "B, stage, batch 1 takes 2.00 times as long as A, stage, batch 1 (20 for 10 ms) with 1.02 times the MACs: depthwise "
        "convolutions +10 ms (MACs from 0 to 10 M, bytes from 0 B to 76.29 MiB)."
    )
    assert "no kind of operation differs by 5% of it" in difference(first, first)


def test_parts_and_whole_are_said() -> None:
    assert added_up(breakdown("A", DENSE)) == (
        "Parts 10 ms, whole 10 ms (medians of n = 1 calls each, taken in turns). A call whose operations are timed takes 1.50 "
        "times as long as the whole."
    )
    apart = added_up(breakdown("A", DENSE, whole=8.0))
    assert (
        "Parts 10 ms, whole 8 ms" in apart and "? The parts do not add up to the whole within 10%." in apart
    )


def test_faster_than_a_limit_has_a_remark() -> None:
    assert beyond_limits([breakdown("A", DENSE)], MACHINE) == []
    quick = timed("dense convolutions", 10**9, 10**6, 10.0)
    assert beyond_limits([breakdown("A", quick)], MACHINE) == [OVER]
