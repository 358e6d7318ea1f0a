"""What limits an operation, by limits that are made up."""

from __future__ import annotations

import pytest

from blockzoo.core.roofline import ANY_KIND, KINDS, Limit, Machine, Operation, Timed, by_kind, together

MACHINE = Machine(
    products=(Limit("slow", 1e9, (20.0,)), Limit("fast", 1e9, (9.0, 10.0, 30.0))),  # 100 GFLOP/s
    copies=(Limit("small", 1e6, (0.01,)), Limit("large", 1e9, (100.0,))),  # 100 and 10 GB/s
    calls={ANY_KIND: Limit("sum", 1, (0.001,)), "dense convolutions": Limit("pixel", 1, (0.1,))},
)


def timed(kind: str, macs: int, read: int, ms: float) -> Timed:
    return Timed(Operation("", "aten.x", kind, macs, read, 0), (ms,))


def test_limits_are_medians_and_the_highest() -> None:
    assert MACHINE.compute.what == "fast" and MACHINE.compute.rate == 1e11
    assert MACHINE.memory.what == "large" and MACHINE.memory.rate == 1e10
    assert MACHINE.cache.what == "small"


@pytest.mark.parametrize(
    ("one", "limit", "roof", "reached"),
    [
        (timed("norms", 0, 10**8, 12.5), "memory", "memory", 0.8),
        (timed("norms", 0, 10**8, 125.0), "none", "memory", 0.08),
        (timed("norms", 0, 10**6, 0.02), "memory", "memory", 0.5),  # in the cache
        (timed("matrix products", 5 * 10**9, 10**8, 200.0), "compute", "compute", 0.5),
        (timed("depthwise convolutions", 10**6, 10**8, 20.0), "memory", "memory", 0.5),
        (timed("views", 0, 0, 0.002), "calls", "calls", 0.5),
        (timed("dense convolutions", 10, 10, 0.2), "calls", "calls", 0.5),  # its own kind's smallest
    ],
)
def test_what_limits(one: Timed, limit: str, roof: str, reached: float) -> None:
    bound = MACHINE.bound([one])
    assert (bound.limit, bound.roof) == (limit, roof)
    assert bound.reached == pytest.approx(reached)


def test_several_are_limited_by_what_takes_most_of_their_time() -> None:
    slow, quick = timed("norms", 0, 10**8, 20.0), timed("matrix products", 10**9, 10**6, 20.1)
    assert MACHINE.bound([slow, quick]).limit == "compute"
    assert MACHINE.bound([slow, slow, quick]) == MACHINE.bound([slow])


def test_groups_keep_every_operation() -> None:
    several = [timed(kind, 3, 5, 0.5) for kind in (*KINDS, "norms", "copies")]
    groups = by_kind(several)
    assert [group.kind for group in groups] == list(KINDS)
    assert sum(len(group.timed) for group in groups) == len(several)
    whole = together("all", several)
    assert (whole.macs, whole.bytes_moved, whole.ms) == (
        3 * len(several),
        5 * len(several),
        0.5 * len(several),
    )
    assert whole.flop_rate == pytest.approx(2 * 3 / 0.5e-3)
    assert together("", [timed("views", 0, 0, 0.1)]).intensity is None
