"""benchmark: what networks cost on a clock, timed side by side in one process."""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from blockzoo.core.devices import choose_device
from blockzoo.core.environment import environment
from blockzoo.core.errors import RequestError
from blockzoo.core.record import Record
from blockzoo.core.spec import CLASSES, NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.measure.timing_options import DTYPES, check_options
from blockzoo.profile import check_shape
from blockzoo.report.latency import median_interval, p90, paired_ratio, throughput

if TYPE_CHECKING:
    from torch import nn

    from blockzoo.measure.contenders import Contender, Setting
    from blockzoo.measure.latency import Clock, Schedule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Times of one network (or of its stage under test) at one batch size, with all samples in milliseconds."""

    subject: str
    part: str  # "network" or "stage"
    batch_size: int
    samples_ms: list[float] = field(repr=False)
    noise: tuple[float, tuple[float, float] | None]  # the A/A reference: median ratio and its 95 % interval

    @property
    def latency_ms(self) -> float:
        """Median time of one call."""
        return statistics.median(self.samples_ms)

    def columns(self) -> dict[str, Any]:
        """One flat row of derived figures."""
        interval = median_interval(self.samples_ms) or (None, None)
        return {
            "subject": self.subject,
            "part": self.part,
            "batch_size": self.batch_size,
            "latency_ms": self.latency_ms,
            "latency_low_ms": interval[0],
            "latency_high_ms": interval[1],
            "latency_p90_ms": p90(self.samples_ms),
            "latency_std": statistics.stdev(self.samples_ms) if len(self.samples_ms) > 1 else 0.0,
            "throughput": throughput(self.samples_ms, self.batch_size),
            "n": len(self.samples_ms),
            "aa_ratio": self.noise[0],
        }


@dataclass(frozen=True)
class Benchmark:
    """All timings of one run, and the circumstances they share."""

    timings: list[Timing]
    environment: dict[str, Any]
    specs: dict[str, NetworkSpec]
    input_shape: tuple[int, ...]

    def records(self) -> list[Record]:
        """One latency record per network, for the results store."""
        records = {}
        for timing in self.timings:
            spec = self.specs[timing.subject]
            key = spec.timing_key(self.input_shape[2])
            record = records.setdefault(
                timing.subject,
                Record("latency", key, timing.subject, asdict(spec), environment=self.environment),
            )
            record.samples[f"{timing.part}_batch{timing.batch_size}_ms"] = timing.samples_ms
            record.values[f"{timing.part}_batch{timing.batch_size}_aa_ratio"] = timing.noise[0]
        return list(records.values())


def benchmark_block(
    subjects: str | type | Sequence[str | type],
    position: str | None = None,
    *,
    num_blocks: int = 3,
    base_channels: int = 64,
    out_dim: int | None = None,
    filler: str | None = None,
    input_shape: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1, 256),
    device: str = "auto",
    dtype: str = "fp32",
    memory_format: str = "contiguous",
    threads: int | None = None,
    runtime: str = "eager",
    stage: bool = True,
    warmup_runs: int | None = None,
    benchmark_runs: int | None = None,
    seconds: float = 10.0,
    seed: int = 0,
) -> Benchmark:
    """Time blocks in the scaffold, or any networks, against each other.

    All are deployed alike (branches merged, batch norms folded, checked for equality) and take turns in shuffled
    rounds; a second instance of the first shows the noise.

    Args:
        subjects: one subject or several, each a text or a class.
        position: stage that holds the blocks, where a subject does not say it (default mid).
        num_blocks, base_channels, out_dim, filler: the scaffold, see `ScaffoldNet`.
        input_shape: (B, C, H, W); its B replaces `batch_sizes`.
        batch_sizes: images per call.
        device, dtype, memory_format, threads: where and how; bf16 converts the weights.
        runtime: "eager" or "compile" (a door: `measure/runtimes/`).
        stage: also time the stage under test alone.
        warmup_runs: calls thrown away (default: until stable).
        benchmark_runs: samples per network (default: as many as fit in `seconds` per batch size, 10 to 200).

    Raises:
        RequestError: an unknown name, or a value out of range.
    """
    subjects = [subjects] if isinstance(subjects, str | type) else list(subjects)
    if not subjects:
        raise RequestError("no subject to time; name at least one block")
    shape = check_shape(input_shape or (1, 3, 32, 32))
    parsed = [
        Subject.parse(text) for text in subjects
    ]  # before torch is loaded: a wrong name is answered at once
    from blockzoo.models.own import classes_of

    networks = []
    for subject in parsed:
        classes = classes_of(subject, out_dim, CLASSES)
        subject = subject if subject.position or not subject.is_block else subject.at(position or "mid")
        networks.append(
            NetworkSpec(str(subject), num_blocks, base_channels, classes, in_channels=shape[1], filler=filler)
        )
    return benchmark_specs(
        networks,
        shape,
        batch_sizes=(shape[0],) if input_shape else batch_sizes,
        device=device,
        dtype=dtype,
        memory_format=memory_format,
        threads=threads,
        runtime=runtime,
        stage=stage,
        warmup_runs=warmup_runs,
        benchmark_runs=benchmark_runs,
        seconds=seconds,
        seed=seed,
    )


def benchmark_specs(
    networks: Sequence[NetworkSpec],
    input_shape: Sequence[int],
    *,
    batch_sizes: Sequence[int] = (1, 256),
    device: str = "auto",
    dtype: str = "fp32",
    memory_format: str = "contiguous",
    threads: int | None = None,
    runtime: str = "eager",
    stage: bool = True,
    warmup_runs: int | None = None,
    benchmark_runs: int | None = None,
    seconds: float = 10.0,
    seed: int = 0,
) -> Benchmark:
    """`benchmark_block` for networks that are specified already; the batch of `input_shape` is ignored."""
    import torch

    from blockzoo.measure.contenders import Setting
    from blockzoo.measure.latency import Clock, Schedule

    check_options(batch_sizes, dtype, memory_format, threads)
    shape = check_shape(input_shape)
    place = _device(device)
    specs = {spec.subject: spec for spec in networks}
    schedule = Schedule(warmup_runs, benchmark_runs, seconds)
    clock = Clock(torch.device(place))
    previous = torch.get_num_threads()
    torch.set_num_threads(threads or previous)
    try:
        facts = environment(
            device=place,
            dtype=DTYPES[dtype],
            layout=memory_format,
            runtime=runtime,
            threads=torch.get_num_threads(),
        )
        hardware = facts["gpu"] if place == "cuda" else facts["cpu"]
        facts["timed_on"] = f"{hardware}, {dtype}, {memory_format}, {runtime}, {facts['threads']} threads"
        contenders = _contenders(specs, shape, stage, seed)
        timings = []
        for batch in batch_sizes:
            setting = Setting(
                torch.device(place), getattr(torch, DTYPES[dtype]), memory_format, runtime, batch, seed
            )
            timings += _timings(setting, contenders, clock, schedule)
    finally:
        torch.set_num_threads(previous)
    return Benchmark(timings, facts, specs, shape)


def quick_benchmark(block: str, position: str = "mid", **options: Any) -> dict[str, Any]:
    """Times of one block at batch 1 as a flat dictionary; options as in `benchmark_block`."""
    options = {"batch_sizes": (1,), "seconds": 2.0, "stage": False, **options}
    return benchmark_block(block, position, **options).timings[0].columns()


def benchmark_model(
    model: nn.Module, input_shape: Sequence[int] = (1, 3, 32, 32), *, device: str = "auto", **options: Any
) -> dict[str, Any]:
    """Times of a network at hand as a flat dictionary. Options: warmup_runs, benchmark_runs, seconds, runtime, seed."""
    import copy

    import torch

    from blockzoo.measure.contenders import Contender, Setting, deploy
    from blockzoo.measure.latency import Clock, Schedule

    place = _device(device)
    schedule = Schedule(
        options.pop("warmup_runs", None), options.pop("benchmark_runs", None), options.pop("seconds", 2.0)
    )
    runtime, seed = options.pop("runtime", "eager"), options.pop("seed", 0)
    if options:
        raise RequestError(f"benchmark_model takes no {', '.join(options)}")
    shape = check_shape(input_shape)
    setting = Setting(torch.device(place), runtime=runtime, batch_size=shape[0], seed=seed)
    network = Contender(type(model).__name__, "network", deploy(copy.deepcopy(model).cpu(), shape), shape)
    return _timings(setting, [network], Clock(torch.device(place)), schedule)[0].columns()


def _device(wanted: str) -> str:
    import torch

    place, note = choose_device(wanted, gpu=torch.cuda.is_available())
    if note:
        log.warning(note)
    return place


def _contenders(
    specs: dict[str, NetworkSpec], shape: tuple[int, ...], stage: bool, seed: int
) -> list[Contender]:
    import torch

    from blockzoo.measure.contenders import Contender, deploy
    from blockzoo.models.resolve import build_network
    from blockzoo.models.scaffold import ScaffoldNet

    found = []
    for name, spec in specs.items():
        network = build_network(spec, seed=seed).eval()
        found.append(Contender(name, "network", deploy(network, shape), shape))
        if stage and isinstance(network, ScaffoldNet):
            x = torch.zeros(shape)
            for block in network.blocks:
                if block is network.active_stage[0]:
                    break
                x = block(x)
            found.append(Contender(name, "stage", deploy(network.active_stage, x.shape), tuple(x.shape)))
    return found


def _timings(setting: Setting, contenders: list[Contender], clock: Clock, schedule: Schedule) -> list[Timing]:
    """All contenders in one setting, and a second instance of the first as the noise."""
    import torch

    from blockzoo.measure.latency import REFERENCE, interleave

    first = contenders[0]
    calls = {f"{c.subject}\n{c.part}": setting.call(c) for c in contenders} | {REFERENCE: setting.call(first)}
    with torch.inference_mode():
        samples = interleave(calls, clock, schedule, seed=setting.seed)
    noise = paired_ratio(samples[REFERENCE], samples[f"{first.subject}\n{first.part}"])
    return [
        Timing(c.subject, c.part, setting.batch_size, samples[f"{c.subject}\n{c.part}"], noise)
        for c in contenders
    ]


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["benchmark", *sys.argv[1:]]))
