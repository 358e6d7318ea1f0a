"""Milliseconds of each operation of a network, beside those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.core.roofline import Operation, Timed
from blockzoo.core.times import doubts, paired_ratio
from blockzoo.measure.contenders import Contender, Setting
from blockzoo.measure.interleaving import REFERENCE, Clock, Schedule, interleave
from blockzoo.measure.ledger import NO_OPERATIONS, operations_of


class TimedCall(NamedTuple):
    """One operation of one call.

    Args:
        name: torch's.
        ms: milliseconds, from an idle device to an idle device.
    """

    name: str
    ms: float


class Stopwatch(TorchDispatchMode):
    """Times each operation inside its context, in `.readings`. What Python does between two is in none of them."""

    supports_higher_order_operators = True

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.readings: list[TimedCall] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out: Any = None

        def run() -> None:
            nonlocal out
            out = func(*args, **(kwargs or {}))

        if getattr(func, "namespace", "") in NO_OPERATIONS:
            run()
            return out
        ms = self._clock.time_ms(run)
        self.readings.append(TimedCall(str(getattr(func, "_overloadpacket", func)), ms))
        return out


def readings(call: Callable[[], Any], clock: Clock) -> list[TimedCall]:
    """The operations of one call, each with its time."""
    watch = Stopwatch(clock)
    with watch:
        call()
    return watch.readings


@contextmanager
def one_by_one() -> Iterator[None]:
    """Inside, nothing is kept for gradients, and kernels that do a whole layer of attention are kept out, as they are where
    multiply-adds are counted.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Watched:
    """A network at hand: its operations as counted, and what its calls took."""

    def __init__(self, setting: Setting, contender: Contender, clock: Clock) -> None:
        self.contender, self._clock = contender, clock
        module, x = setting.placed(contender)
        self.plain: Callable[[], Any] = lambda: module(x)
        self.plain()  # what a first call prepares is no cost of every image
        self.operations = operations_of(module, self.plain)
        self.calls: list[list[TimedCall]] = []

    def watched(self) -> None:
        """One call whose operations are timed."""
        self.calls.append(readings(self.plain, self._clock))

    def timed(self, rounds: int) -> tuple[Timed, ...]:
        """The operations with their times in the last rounds: those before were to warm up."""
        last_calls = self.calls[-rounds:]
        for call in last_calls:
            check_timed_operations(self.contender.subject, self.operations, call)
        return tuple(
            Timed(operation, tuple(call[place].ms for call in last_calls))
            for place, operation in enumerate(self.operations)
        )


def break_down(
    setting: Setting, contenders: Sequence[Contender], clock: Clock, schedule: Schedule
) -> list[Breakdown]:
    """Time networks whole and by operations, in turns, in shuffled rounds; a second copy of the first shows the noise.

    Args:
        setting: how they are timed; its runtime is eager.
        contenders: the networks.
        clock: of the device.
        schedule: how long.

    Raises:
        CheckFailed: a call runs other operations than were counted.
    """
    with one_by_one():
        networks = [_Watched(setting, contender, clock) for contender in contenders]
        module, x = setting.placed(contenders[0])
        calls: dict[str, Callable[[], Any]] = {REFERENCE: lambda: module(x)}
        for number, network in enumerate(networks):
            calls |= {f"{number} whole": network.plain, f"{number} watched": network.watched}
        samples = interleave(calls, clock, schedule, seed=setting.seed)
    noise = paired_ratio(samples[REFERENCE], samples["0 whole"])
    return [
        Breakdown(
            network.contender.subject,
            network.contender.part,
            setting.batch_size,
            network.timed(len(samples[REFERENCE])),
            tuple(samples[f"{number} whole"]),
            tuple(samples[f"{number} watched"]),
            ", ".join(doubts(samples[f"{number} whole"], noise)),
            network.contender.checked,
        )
        for number, network in enumerate(networks)
    ]


@CHECKS.register("timed-operations")
def check_timed_operations(name: str, operations: Sequence[Operation], call: Sequence[TimedCall]) -> float:
    """The operations of each call that was timed, with those that were counted: their names, in their order.

    Catches: a network that computes something else from call to call, a time that would stand beside the multiply-adds of
    another operation.

    Tolerance: none.

    Cost: a comparison of names, after the times are taken.
    """
    counted, timed = [operation.name for operation in operations], [reading.name for reading in call]
    if counted != timed:
        longest = max(len(counted), len(timed))
        place = next(i for i in range(longest) if _at(counted, i) != _at(timed, i))
        raise CheckFailed(
            f"{name}: operation {place + 1} was {_at(counted, place)} when the operations were counted and {_at(timed, place)} "
            "when they were timed; it computes something else from call to call, so its time cannot be told by operations"
        )
    return 0.0


def _at(names: Sequence[str], place: int) -> str:
    return names[place] if place < len(names) else "none"
