"""Parts of a card by the isolate lens: what a block costs, where that goes, its times, its trainings."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockzoo.card.desk import MIDDLE, Desk
from blockzoo.card.schedule import Made, TimeIsUp
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Benchmarking
from blockzoo.core.typeset import TextTable
from blockzoo.report.site.commands import command_of

BATCHES = (1, 64)
"""Images of a call that is timed."""
TIMED_S, SHARE = 20.0, 0.06
"""Seconds that clocks take at most, and of the budget."""


def options_of(desk: Desk) -> list[str]:
    """The scaffold, as options of commands."""
    scaffold = desk.asked.scaffold
    words = ["--num-blocks", str(scaffold.num_blocks), "--base-channels", str(scaffold.base_channels)]
    return words + (["--filler", scaffold.filler] if scaffold.filler else [])


def command(*words: str, desk: Desk) -> str:
    """A line for a shell, with the plugins of the subject."""
    plugins = [word for plugin in desk.asked.run.plugins for word in ("--plugin", plugin)]
    return shlex.join(["blockzoo", *words, *plugins])


def as_table(made: TextTable) -> dict[str, Any]:
    """A table as plain values."""
    return {
        "title": made.title,
        "columns": [str(column.heading) for column in made.columns],
        "lines": [list(line) for line in made.lines],
    }


USUAL_S = 8.0
"""Seconds that costs on paper take on an idle machine, most of them to load what follows operations."""
LEAST_S = 4.0
"""Seconds below which times are not worth taking."""


class Costs:
    """On paper, at each position, beside the reference; and by operation at mid."""

    name, title, worth = "costs", "What it costs, and where that goes", 100.0
    after: tuple[str, ...] = ()

    def seconds(self, desk: Desk) -> float:
        """Nothing is computed: some seconds on any machine."""
        return USUAL_S

    def make(self, desk: Desk, within: float) -> Made:
        from blockzoo.operations import profile_operations
        from blockzoo.profile import profile_block
        from blockzoo.report.operation_tables import paper_tables
        from blockzoo.report.why import why

        begin, worked, shape, scaffold = (
            desk.clock(),
            time.process_time(),
            (1, *desk.images.shape),
            vars(desk.asked.scaffold),
        )
        names = (desk.asked.name, desk.asked.reference)
        costs: dict[str, dict[str, Any]] = {}
        for name in names:
            for position in POSITIONS:
                if desk.clock() - begin > within:
                    raise TimeIsUp
                profile = profile_block(
                    name, position, out_dim=desk.images.num_classes, input_shape=shape, **scaffold
                )
                costs[f"{name}/{position}"] = profile.columns()
        own = profile_operations(
            desk.asked.name, MIDDLE, out_dim=desk.images.num_classes, input_shape=shape, **scaffold
        )
        tables = paper_tables(f"{own.profile.subject}, stage", own.of())
        says = [why(f"{own.profile.subject}, the stage under test", own.of()), *own.profile.notes]
        if uncounted := own.profile.network.uncounted_operations:
            says.append(f"The MACs lack those of {', '.join(uncounted)}.")
        desk.pace = max(1.0, (desk.clock() - begin) / max(time.process_time() - worked, 0.1))
        size = " ".join(map(str, shape))
        line = command(
            "profile",
            f"{desk.asked.name}/{MIDDLE}",
            "--by",
            "operation",
            "--input-shape",
            *size.split(),
            *options_of(desk),
            desk=desk,
        )
        return Made(
            {"costs": costs, "operations": [as_table(table) for table in tables]}, says, {"images": 1}, line
        )


def ratio(
    costs: Mapping[str, Mapping[str, Any]], names: tuple[str, str], position: str, what: str
) -> float | None:
    """What a block costs at a position as a multiple of what another one does; None where that is nothing, or not known."""
    one, other = (costs.get(f"{name}/{position}", {}).get(what) for name in names)
    return one / other if isinstance(one, int | float) and isinstance(other, int | float) and other else None


class Clocks:
    """Times of the network and of the stage under test at mid, beside those of the reference, with an A/A reference."""

    name, title, worth = "clocks", "What it takes on a clock", 1000.0
    after = ("costs",)

    def seconds(self, desk: Desk) -> float:
        """It ends by a deadline of its own."""
        return clock_seconds(desk) + 2.0 * desk.pace

    def make(self, desk: Desk, within: float) -> Made:
        from blockzoo.benchmark import benchmark_specs
        from blockzoo.core.environment import describe
        from blockzoo.core.times import paired_ratio

        names = (desk.asked.name, desk.asked.reference)
        networks = [desk.network(name, MIDDLE) for name in names]
        seconds = min(clock_seconds(desk), within)
        how = Benchmarking(
            batch_sizes=BATCHES, device=desk.device, seconds=seconds, threads=desk.asked.recipe.threads
        )
        timed = benchmark_specs(networks, (1, *desk.images.shape), how)
        desk.store.add(*timed.records())
        rows = [timing.columns() for timing in timed.timings]
        samples = {(t.subject, t.part, t.batch_size): t.samples_ms for t in timed.timings}
        own, other = (f"{name}/{MIDDLE}" for name in names)
        ratios = {}
        for part in ("network", "stage"):
            for batch in BATCHES:
                pair = samples.get((own, part, batch)), samples.get((other, part, batch))
                if pair[0] and pair[1]:
                    value, interval = paired_ratio(pair[0], pair[1])
                    doubted = any(r["doubt"] for r in rows if (r["part"], r["batch_size"]) == (part, batch))
                    what = {"part": part, "batch": batch, "doubted": doubted}
                    ratios[f"{part}_batch{batch}"] = {
                        "ratio": value,
                        "interval": interval,
                        "n": len(pair[0]),
                        **what,
                    }
        unsure = sum(bool(row["doubt"]) for row in rows)
        says = (
            [
                f"{unsure} of {len(rows)} times are not sure and have a ?, each with its reason among all times."
            ]
            if unsure
            else []
        )
        says += [f"{', '.join(subjects)}: {reason}" for (reason, _), subjects in timed.refusals().items()]
        line = command(
            "benchmark",
            own,
            other,
            "--batch-sizes",
            *map(str, BATCHES),
            "--seconds",
            f"{seconds:.0f}",
            *options_of(desk),
            desk=desk,
        )
        figures = {
            "timings": rows,
            "ratios": ratios,
            "timed_on": timed.environment["timed_on"],
            "environment": describe(timed.environment),
        }
        return Made(
            figures, says + timed.left_out, {"calls": min((row["n"] for row in rows), default=0)}, line
        )


def clock_seconds(desk: Desk) -> float:
    """That times are taken for."""
    from blockzoo.card.options import seconds_of

    longest = min(TIMED_S, SHARE * seconds_of(desk.asked.carding.time_budget))
    return max(LEAST_S, min(longest, 0.9 * desk.left() - 2.0 * desk.pace))


class Operations:
    """Which operations the time goes to, and what limits them on this machine."""

    name, title, worth = "operations", "What its time goes to", 100.0
    after = ("clocks",)

    def seconds(self, desk: Desk) -> float:
        """It ends by a deadline of its own."""
        return clock_seconds(desk) + 2.0 * desk.pace

    def make(self, desk: Desk, within: float) -> Made:
        from blockzoo.operations import benchmark_operations
        from blockzoo.report.operation_tables import timed_tables
        from blockzoo.report.why import added_up, difference, why

        seconds = min(clock_seconds(desk), within)
        own, other = f"{desk.asked.name}/{MIDDLE}", f"{desk.asked.reference}/{MIDDLE}"
        shape = (BATCHES[-1], *desk.images.shape)
        try:
            timed = benchmark_operations(
                [own, other], out_dim=desk.images.num_classes, input_shape=shape, device=desk.device,
                threads=desk.asked.recipe.threads, seconds=seconds, **vars(desk.asked.scaffold),
            )  # fmt: skip
        except UsageError as error:
            if "--seconds" not in str(error):
                raise
            raise TimeIsUp(str(error)) from None
        first, second = timed.breakdowns
        says = [
            why(first.label, first.timed, timed.machine),
            difference(second, first),
            *added_up(first).split("\n"),
        ]
        tables = timed_tables(first, timed.machine)[:1]
        line = command(
            "benchmark",
            own,
            other,
            "--by",
            "operation",
            "--input-shape",
            *map(str, shape),
            *options_of(desk),
            desk=desk,
        )
        figures = {
            "operations": [as_table(table) for table in tables],
            "timed_on": timed.environment["timed_on"],
        }
        return Made(figures, says, {"calls": len(first.whole_ms)}, line)


@dataclass(frozen=True)
class Training:
    """A training of the subject and one of the reference, from one seed at one position: a pair.

    Args:
        position: of both.
        seed: of both.
    """

    position: str
    seed: int

    name = "accuracy"
    after = ("costs",)

    @property
    def title(self) -> str:
        """In words."""
        return f"accuracy at {self.position}, seed {self.seed}"

    @property
    def worth(self) -> float:
        """The first three seeds give an interval; each further one makes it narrower, more slowly."""
        return (400.0, 380.0, 360.0, 60.0, 50.0)[self.seed] if self.seed < 5 else 40.0 / self.seed

    def _trials(self, desk: Desk) -> list[Any]:
        return [
            desk.trial(name, self.position, self.seed) for name in (desk.asked.name, desk.asked.reference)
        ]

    def seconds(self, desk: Desk) -> float:
        """Of what is not known yet."""
        return sum(desk.seconds(trial) for trial in self._trials(desk))

    def make(self, desk: Desk, within: float) -> Made:
        return trained(desk, self._trials(desk), within)


def trained(desk: Desk, trials: list[Any], within: float) -> Made:
    """Train what is not trained yet; the command is that of the first of them."""
    begin, statuses = desk.clock(), {}
    for trial in trials:
        desk.train(trial, within - (desk.clock() - begin))
        statuses[f"{trial.network.subject}, seed {trial.seed}"] = desk.statuses.get(trial.fingerprint(), "ok")
    first = trials[0].network.parsed
    line = command_of(trials[0].to_json(), first.label, first.position or "", [trials[0].seed])
    says = [f"{one}: {status}" for one, status in statuses.items() if status != "ok"]
    return Made({"trainings": statuses}, says, {"trainings": len(trials)}, line)
