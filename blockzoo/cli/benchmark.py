"""benchmark: what blocks cost on a clock, timed side by side"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def benchmark(
    *subjects: o.Subject,
    position: o.Position = None,
    num_blocks: o.NumBlocks = 3,
    base_channels: o.BaseChannels = 64,
    out_dim: o.OutDim = None,
    filler: o.Filler = None,
    input_shape: o.InputShape = None,
    batch_sizes: Annotated[
        list[int] | None, Parameter(help="images per call (default 1 256)", consume_multiple=True)
    ] = None,
    device: o.Device = "auto",
    dtype: Annotated[str, Parameter(help="fp32 or bf16")] = "fp32",
    memory_format: Annotated[str, Parameter(help="contiguous or channels_last")] = "contiguous",
    threads: Annotated[int | None, Parameter(help="CPU threads (default: torch's)")] = None,
    runtime: Annotated[str, Parameter(help="eager or compile")] = "eager",
    compile: Annotated[bool, Parameter(help="the same as --runtime compile", negative=())] = False,
    stage: Annotated[
        bool, Parameter(negative="--no-stage", help="time the stage under test alone, too")
    ] = True,
    warmup_runs: Annotated[int | None, Parameter(help="calls thrown away (default: until stable)")] = None,
    benchmark_runs: Annotated[
        int | None, Parameter(help="samples per network (default: what fits in --seconds)")
    ] = None,
    seconds: Annotated[
        float | None,
        Parameter(help="for the whole command (default 30; with --benchmark-runs as long as they take)"),
    ] = None,
    seed: o.Seed = 0,
    strict: o.Strict = False,
    plugin: o.Plugin = None,
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Time one or more subjects in shuffled, interleaved rounds; all deployed alike and checked for equality.

    The line A/A is the first network against a second copy of itself: its distance from 1 is the noise. Where it is off, or
    samples are wild, the run is made again while there is time; a time that stays doubtful has a ? and its reason.
    """
    screen.check_output(output)
    from blockzoo.benchmark import benchmark_block
    from blockzoo.core.environment import describe

    found = benchmark_block(
        subjects,
        position,
        num_blocks=num_blocks,
        base_channels=base_channels,
        out_dim=out_dim,
        filler=filler,
        input_shape=input_shape,
        batch_sizes=batch_sizes or (1, 256),
        device=device,
        dtype=dtype,
        memory_format=memory_format,
        threads=threads,
        runtime="compile" if compile else runtime,
        stage=stage,
        warmup_runs=warmup_runs,
        benchmark_runs=benchmark_runs,
        seconds=seconds,
        seed=seed,
        strict=strict,
    )
    rows = [timing.columns() for timing in found.timings]
    lines = []
    for row in rows:
        low, high = row["latency_low_ms"], row["latency_high_ms"]
        lines.append(
            (
                row["subject"],
                row["part"],
                str(row["batch_size"]),
                f"{row['latency_ms']:.4g}{'?' if row['doubt'] else ''}",
                f"{low:.4g} .. {high:.4g}" if low else "-",
                f"{row['latency_p90_ms']:.4g}",
                f"{row['throughput']:,.0f}",
                str(row["n"]),
            )
        )
    doubtful = [row for row in rows if row["doubt"]]
    reasons = [f"? {r['subject']}, {r['part']}, batch {r['batch_size']}: {r['doubt']}" for r in doubtful]
    checked = [row["checked"] for row in rows if row["checked"] is not None]
    noise = {row["batch_size"]: f"{row['aa_ratio']:.3f} at batch {row['batch_size']}" for row in rows}
    made = screen.table(
        f"Latency on {found.environment['timed_on']}",
        ["subject", "part", "batch", "median ms", "95 % interval", "p90 ms", "images/s", "n"],
        lines,
        "\n".join(
            [
                f"A/A {', '.join(noise.values())}. {describe(found.environment)}",
                *([f"Deployed forms checked: {max(checked):.1e} from the trained ones."] if checked else []),
                *reasons,
            ]
        ),
    )
    screen.show(made, rows, format, output)
    return 1 if found.failures else 0
