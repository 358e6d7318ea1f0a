"""What benchmarks come to: the times of networks and ways, and where the time of a network goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import UsageError, reason_of
from blockzoo.core.record import Record
from blockzoo.core.result import Result, Row
from blockzoo.core.roofline import Machine
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.times import median_interval
from blockzoo.measure.timing_options import Way
from blockzoo.measure.timings import Timing

if TYPE_CHECKING:
    from blockzoo.measure.contenders import Failure
    from blockzoo.report.drawing import Figure
    from blockzoo.report.orders import OrderAgreement


@RESULTS.register("benchmark")
@dataclass(frozen=True, eq=False, repr=False)
class Benchmark(Result):
    """All timings of one run, and the circumstances they share."""

    timings: list[Timing]
    environment: dict[str, Any]
    specs: dict[str, NetworkSpec]
    input_shape: tuple[int, ...]
    ways: dict[Way, dict[str, Any]] = field(
        default_factory=dict
    )  # the circumstances of each, the first in `environment`
    left_out: list[str] = field(default_factory=list)  # batch sizes that did not fit, each with its sentence
    failures: list[Failure] = field(default_factory=list)  # what could not be timed, and why

    columns_first: ClassVar[tuple[str, ...]] = (
        *(
            "subject",
            "part",
            "batch_size",
            "latency_ms",
            "latency_low_ms",
            "latency_high_ms",
            "n",
            "doubt",
            "error",
        ),
        *("runtime", "dtype", "throughput"),
    )

    def headline(self) -> str:
        subjects = dict.fromkeys(timing.subject for timing in self.timings)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"{', '.join(subjects)}: {len(self.timings)} timings{failed}, on {self.environment.get('timed_on', '?')}"

    def table_rows(self) -> list[Row]:
        return [timing.columns() for timing in self.timings] + [
            failure.columns() for failure in self.failures
        ]

    def figure(self) -> Figure:
        """The median of each network with its interval; the whole network where it was timed, else its stage."""
        from blockzoo.report.pictures.times import Median, draw_times

        part = next((timing.part for timing in self.timings if timing.part == "network"), "stage")
        timed = [timing for timing in self.timings if timing.part == part]
        if not timed:
            raise UsageError("nothing was timed, so there is nothing to draw")
        times = [
            Median(
                t.subject,
                t.batch_size,
                f"{part}, {t.way}",
                t.latency_ms,
                median_interval(t.samples_ms),
                bool(t.doubt),
            )
            for t in timed
        ]
        return draw_times(times, str(self.environment.get("timed_on", "")))

    @classmethod
    def types_by_name(cls) -> dict[str, Any]:
        from blockzoo.measure.contenders import Failure

        return {"Failure": Failure}

    def records(self) -> list[Record]:
        """One latency record per network and way, for the results store: `failed` without any time of the whole network."""
        return [
            self._record(name, spec, way, facts)
            for way, facts in self.ways.items()
            for name, spec in self.specs.items()
        ]

    def refusals(self) -> dict[tuple[str, Way | None], list[str]]:
        """What could not be timed, by reason and way: one sentence where a way does not suit any network."""
        together: dict[tuple[str, Way | None], list[str]] = {}
        for failure in self.failures:
            where = f"{failure.subject}, {failure.part}"
            subjects = together.setdefault((reason_of(failure.error), failure.way), [])
            subjects.append(where + (f", batch {failure.batch_size}" if failure.batch_size else ""))
        return together

    def orders(self) -> list[tuple[int, OrderAgreement]]:
        """How far the ways put the networks into one order, at each batch size at which two of them timed four together."""
        from blockzoo.report.orders import orders

        times: dict[int, dict[str, dict[str, list[float]]]] = {}
        for timing in self.timings:
            if timing.part == "network":
                of_batch = times.setdefault(timing.batch_size, {})
                of_batch.setdefault(str(timing.way), {})[timing.subject] = timing.samples_ms
        return [(batch, agreement) for batch, ways in times.items() for agreement in orders(ways)]

    def _record(self, name: str, spec: NetworkSpec, way: Way, facts: dict[str, Any]) -> Record:
        record = Record("latency", spec.timing_key(self.input_shape[2]), spec.subject, asdict(spec))
        timings = [timing for timing in self.timings if (timing.subject, timing.way) == (name, way)]
        faults = [
            failure.reason
            for failure in self.failures
            if failure.subject == name and failure.way in (None, way)
        ]
        whole = any(timing.part == "network" for timing in timings)
        record.status = "ok" if whole else "failed"
        record.reason = "; ".join(faults if faults or whole else self.left_out)
        record.environment = facts
        for timing in timings:
            record.samples[f"{timing.part}_batch{timing.batch_size}_ms"] = timing.samples_ms
            record.values[f"{timing.part}_batch{timing.batch_size}_aa_ratio"] = timing.noise[0]
            record.values[f"{timing.part}_batch{timing.batch_size}_doubt"] = timing.doubt
            record.values[f"{timing.part}_checked"] = timing.checked
            if timing.from_eager is not None:
                record.values[f"{timing.part}_batch{timing.batch_size}_from_eager"] = timing.from_eager
            for name_of, value in timing.energy.columns().items() if timing.energy else ():
                record.values[f"{timing.part}_batch{timing.batch_size}_{name_of}"] = value
        return record


@RESULTS.register("operation benchmark")
@dataclass(frozen=True, eq=False, repr=False)
class OperationBenchmark(Result):
    """Where the time of networks goes, and the limits of the machine they were timed on.

    Args:
        breakdowns: of each subject at each batch size.
        machine: its limits, measured just before, with the same threads and dtype.
        environment: the circumstances.
        left_out: batch sizes that did not fit, each with its sentence.
    """

    breakdowns: list[Breakdown]
    machine: Machine
    environment: dict[str, Any]
    left_out: list[str]

    def headline(self) -> str:
        labels = ", ".join(f"{one.label} {one.whole:.3g} ms" for one in self.breakdowns)
        return f"{labels}, by operation, on {self.environment.get('timed_on', '?')}"

    def table_rows(self) -> list[Row]:
        from blockzoo.report.operation_tables import timed_rows

        return [row for one in self.breakdowns for row in timed_rows(one, self.machine)]

    def figure(self) -> Figure:
        """The roofline: rates that kinds of operations achieve, below the limits of the machine."""
        from blockzoo.report.pictures.roofline import draw

        return draw(self.breakdowns, self.machine, str(self.environment.get("timed_on", "")))
