"""benchmark: what networks cost on a clock, timed side by side in one process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blockzoo.core.checked import sorted_into
from blockzoo.core.devices import choose_device
from blockzoo.core.environment import environment, version_of
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.keywords import BenchmarkingKeywords, ScaffoldKeywords, SeededKeywords
from blockzoo.core.settings import Benchmarking, Scaffold, Seeded
from blockzoo.core.spec import CLASSES, NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.measure.benchmarked import Benchmark as Benchmark
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.timing_options import DTYPES, Way, check_ways, ways_of
from blockzoo.measure.timings import round_seconds, timings_of
from blockzoo.profile import check_shape

if TYPE_CHECKING:
    import torch
    from torch import nn
    from typing_extensions import Unpack

    from blockzoo.measure.contenders import Failure
    from blockzoo.measure.meters import Meter

log = logging.getLogger(__name__)

SECONDS = 30.0
"""For a whole command, where neither the time nor the rounds are given."""


class BenchmarkKeywords(ScaffoldKeywords, BenchmarkingKeywords, SeededKeywords, total=False):
    """The settings of a benchmark."""


def benchmark_block(
    subjects: str | type | Sequence[str | type],
    position: str | None = None,
    *,
    out_dim: int | None = None,
    input_shape: Sequence[int] | None = None,
    **settings: Unpack[BenchmarkKeywords],
) -> Benchmark:
    """Time blocks in the scaffold, or any networks, against each other.

    All are deployed alike (branches merged, batch norms folded, checked for equality) and take turns in shuffled
    rounds; a second instance of the first shows the noise. What cannot be timed is in `failures` and takes no times from the
    others.

    Args:
        subjects: one subject or several, each a text or a class.
        position: stage that holds the blocks, where a subject does not say it (default mid).
        out_dim: number of classes.
        input_shape: (B, C, H, W); its B replaces `batch_sizes`.
        settings: by name, of the tables Scaffold, Benchmarking and Seeded in docs/settings.md. `seconds` are for all of it, from
            the call to the answer; at most one call of each network goes beyond, and batch sizes that do not fit are left out by
            name. With `strict`, what cannot be timed is an error.

    Several runtimes and dtypes are timed in turns too, every network in each, with a second instance of the first network for
    each. What another runtime gives is compared with eager PyTorch first (check `other-runtime`).

    A run whose reference is off or whose samples are wild is made again while there is time; what stays doubtful says so.

    Raises:
        UsageError: an unknown name, or a value out of range.
        Exception: nothing could be timed, or something could not with `strict`; what went wrong with the first.
    """
    scaffold, how, seeded = sorted_into(settings, Scaffold, Benchmarking, Seeded, what="benchmark_block")
    deadline = deadline_of(how.seconds, how.benchmark_runs)
    subjects = [subjects] if isinstance(subjects, str | type) else list(subjects)
    if not subjects:
        raise UsageError("no subject to time; name at least one block")
    shape = check_shape(input_shape or (1, 3, 32, 32))
    networks = networks_of(subjects, position, out_dim, shape[1], scaffold)
    if input_shape:
        how = replace(how, batch_sizes=(shape[0],))
    timed = benchmark_specs(networks, shape, how, seeded.seed, deadline)
    if timed.failures and (how.strict or not timed.timings):
        first = timed.failures[0]
        if isinstance(first.error, BlockzooError):
            raise first.error
        raise UsageError(f"{first.subject} cannot be timed: {first.reason}") from first.error
    if not timed.timings:
        raise UsageError("; ".join(timed.left_out))
    for (reason, way), subjects in timed.refusals().items():
        log.warning(f"{', '.join(subjects)} could not be timed{f' by {way}' if way else ''}: {reason}")
    return timed


def networks_of(
    subjects: Sequence[str | type],
    position: str | None,
    out_dim: int | None,
    channels: int,
    scaffold: Scaffold,
) -> list[NetworkSpec]:
    """The networks that subjects mean: blocks in the scaffold, at their own position or else at this one.

    Raises:
        UsageError: an unknown name.
    """
    parsed = [
        Subject.parse(text) for text in subjects
    ]  # before torch is loaded: a wrong name is answered at once
    from blockzoo.models.own import classes_of

    networks = []
    for subject in parsed:
        classes = classes_of(subject, out_dim, CLASSES)
        subject = subject.placed(position)
        networks.append(NetworkSpec(str(subject), classes, channels, **vars(scaffold)))
    return networks


def benchmark_specs(
    networks: Sequence[NetworkSpec],
    input_shape: Sequence[int],
    how: Benchmarking,
    seed: int = 0,
    deadline: Deadline | None = None,
) -> Benchmark:
    """`benchmark_block` for networks that are specified already; what goes wrong with them is in `failures`, whatever it is.
    The batch of `input_shape` is ignored.

    Args:
        networks: what is timed, with a label of its own each.
        input_shape: (B, C, H, W) of the images.
        how: batch sizes, device, dtypes, runtimes, rounds and seconds; its `strict` is not read here.
        seed: draws the networks' weights, their inputs and the order of the rounds.
        deadline: one that runs already, instead of the seconds of `how`.
    """
    deadline = deadline or deadline_of(how.seconds, how.benchmark_runs)
    import torch

    from blockzoo.measure.contenders import Setting, contenders_of
    from blockzoo.measure.interleaving import Clock, Schedule

    ways = ways_of([RUNTIMES.canonical(name) for name in how.runtimes], how.dtypes)
    check_ways(how.batch_sizes, ways, how.memory_format)
    shape = check_shape(input_shape)
    place = device_of(how.device)
    specs = {spec.label: spec for spec in networks}
    schedule = Schedule(how.warmup_runs, how.benchmark_runs)
    clock = Clock(torch.device(place))
    meter = _meter(torch.device(place), how) if how.energy else None
    previous = torch.get_num_threads()
    torch.set_num_threads(how.threads or previous)
    try:
        facts = {way: circumstances(way, place, how.memory_format) for way in ways}
        failures: list[Failure] = []
        contenders = contenders_of(
            specs, shape, how.batch_sizes, stage=how.stage, seed=seed, failures=failures
        )
        if deadline.left() < deadline.seconds / 2:
            log.warning(
                "making the networks ready took %.2g of %g s: give more --seconds for surer times",
                deadline.seconds - deadline.left(),
                deadline.seconds,
            )
        timings, left_out = [], []
        for place_in_line, batch in enumerate(how.batch_sizes):
            settings = [
                Setting(
                    torch.device(place),
                    getattr(torch, DTYPES[way.dtype]),
                    how.memory_format,
                    way.runtime,
                    batch,
                    seed,
                )
                for way in ways
            ]
            needed = round_seconds(settings, contenders, clock, deadline.left())
            if needed > deadline.left():
                left_out.append(
                    f"batch {batch} is not timed: one call of each takes {needed:.2g} s or more, and of "
                    f"{deadline.seconds:g} s {deadline.left():.2g} are left; give more --seconds"
                )
                continue
            share = Deadline(deadline.left() / (len(how.batch_sizes) - place_in_line))
            timings += timings_of(settings, contenders, clock, schedule, share, failures, meter)
    finally:
        torch.set_num_threads(previous)
    for sentence in left_out:
        log.warning(sentence)
    return Benchmark(timings, facts[ways[0]], specs, shape, facts, left_out, failures)


def _meter(place: torch.device, how: Benchmarking) -> Meter | None:
    """The counters of energy of a device; where they cannot be read that is said, or refused with `strict`."""
    from blockzoo.measure.meters import meter_of

    try:
        return meter_of(place)
    except UsageError as error:
        if how.strict:
            raise
        log.warning("energy cannot be read here, so times are all there is: %s", error)
        return None


def circumstances(way: Way, place: str, memory_format: str) -> dict[str, Any]:
    """The environment of one way, with `timed_on`: all of it that tells times apart, in words."""
    import torch

    facts = environment(
        device=place,
        dtype=DTYPES[way.dtype],
        layout=memory_format,
        runtime=way.runtime,
        threads=torch.get_num_threads(),
        **version_of(way.runtime),
    )
    hardware = facts["gpu"] if place == "cuda" else facts["cpu"]
    words = hardware, way.dtype, memory_format, way.runtime, f"{facts['threads']} threads"
    return {**facts, "timed_on": ", ".join(map(str, words))}


def deadline_of(seconds: float | None, rounds: int | None) -> Deadline:
    """Of a whole command: rounds that are asked for take what they take, unless the seconds are given too."""
    if seconds is not None and not seconds > 0:
        raise UsageError(f"seconds {seconds}: give a positive number")
    return Deadline(SECONDS if seconds is None and rounds is None else seconds)


def quick_benchmark(block: str, position: str = "mid", **options: Any) -> dict[str, Any]:
    """Times of one block at batch 1 as a flat dictionary; options as in `benchmark_block`."""
    options = {"batch_sizes": (1,), "stage": False, **options}
    options.setdefault("seconds", None if "benchmark_runs" in options else 5.0)
    return benchmark_block(block, position, **options).timings[0].columns()


def benchmark_model(
    model: nn.Module, input_shape: Sequence[int] = (1, 3, 32, 32), *, device: str = "auto", **options: Any
) -> dict[str, Any]:
    """Times of a network at hand as a flat dictionary. Options: warmup_runs, benchmark_runs, seconds, runtime, seed."""
    import copy

    import torch

    from blockzoo.measure.contenders import Setting, deployed_contender
    from blockzoo.measure.interleaving import Clock, Schedule

    place = device_of(device)
    schedule = Schedule(options.pop("warmup_runs", None), options.pop("benchmark_runs", None))
    deadline = deadline_of(options.pop("seconds", None if schedule.rounds else 5.0), schedule.rounds)
    runtime, seed = options.pop("runtime", "eager"), options.pop("seed", 0)
    if options:
        raise UsageError(f"benchmark_model takes no {', '.join(options)}")
    shape = check_shape(input_shape)
    setting = Setting(torch.device(place), runtime=runtime, batch_size=shape[0], seed=seed)
    network = deployed_contender(
        type(model).__name__, "network", copy.deepcopy(model).cpu(), shape, shape[:1]
    )
    return timings_of([setting], [network], Clock(torch.device(place)), schedule, deadline)[0].columns()


def device_of(wanted: str) -> str:
    """cpu or cuda, as is wanted and there; a wish that cannot be met is logged."""
    import torch

    place, note = choose_device(wanted, gpu=torch.cuda.is_available())
    if note:
        log.warning(note)
    return place


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["benchmark", *sys.argv[1:]]))
