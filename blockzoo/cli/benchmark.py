"""benchmark: what blocks cost on a clock, timed side by side"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import typeset as t
from blockzoo.core.checked import together
from blockzoo.core.settings import Benchmarking, Scaffold, Seeded

if TYPE_CHECKING:
    from blockzoo.benchmark import Benchmark


@expanded()
def benchmark(
    *subjects: o.Subject,
    position: o.Position = None,
    scaffold: Scaffold,
    out_dim: o.OutDim = None,
    input_shape: o.InputShape = None,
    by: o.By = None,
    part: o.Part = None,
    figure: o.Figure = None,
    how: Benchmarking,
    compile: Annotated[bool, Parameter(help="the same as --runtimes compile", negative=())] = False,
    seeded: Seeded,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Time one or more subjects in shuffled, interleaved rounds; all deployed alike and checked for equality.

    The line A/A is the first network against a second copy of itself: its distance from 1 is the noise. Where it is off, or
    samples are wild, the run is made again while there is time; a time that stays doubtful has a ? and its reason. Several
    runtimes and dtypes take turns with each other too.

    With --by operation: which operations the time goes to, what limits each (compute, memory, the number of calls), by the limits
    of this machine, measured first; of several subjects, where they differ.

    Examples:
        blockzoo benchmark ResNetBasicBlock/mid InvertedResidual/mid --seconds 20
        blockzoo benchmark ResNetBasicBlock/mid --by operation --figure roofline.png
    """
    screen.check_output(output)
    from blockzoo.benchmark import benchmark_block
    from blockzoo.core.environment import describe

    if compile:
        how = replace(how, runtimes=("compile",))
    settings = together(scaffold, how, seeded)
    if by is not None:
        options = {
            "position": position,
            "out_dim": out_dim,
            "input_shape": input_shape,
            "part": part,
            **settings,
        }
        return _by_operation(subjects, options, figure, format, output)
    timed = benchmark_block(subjects, position, out_dim=out_dim, input_shape=input_shape, **settings)
    rows = [timing.columns() for timing in timed.timings]
    several = len(timed.ways) > 1
    lines = [_line(row, several) for row in rows] + [_no_time(f.columns(), several) for f in timed.failures]
    ways = ["runtime", "dtype"] if several else []
    energy = ["J/image"] if any("joules_per_image" in row for row in rows) else []
    if energy:
        lines = [(*line, joules) for line, joules in zip(lines, _joules(timed), strict=True)]
    table = screen.table(
        f"Latency on {timed.environment['timed_on']}" + (", and in other ways" if several else ""),
        [
            "subject",
            t.name("part", t.HIGH),
            t.number("batch", importance=t.HIGH),
            *(t.name(way, t.HIGH) for way in ways),
            t.number("median ms", importance=t.KEY),
            t.number("95 % interval", importance=t.HIGH),
            t.number("p90 ms", importance=t.LOW),
            t.number("images/s", importance=4),
            t.number("n", importance=t.HIGH),
            *energy,
        ],
        lines,
        "\n".join([f"{_noise(rows, several)}. {describe(timed.environment)}", *_said(timed, rows)]),
    )
    screen.show(table, rows + [failure.columns() for failure in timed.failures], format, output)
    return 1 if timed.failures else 0


def _line(row: dict[str, Any], several: bool) -> tuple[str, ...]:
    low, high = row["latency_low_ms"], row["latency_high_ms"]
    return (
        *_named(row, several),
        f"{row['latency_ms']:.4g}{'?' if row['doubt'] else ''}",
        f"{low:.4g} .. {high:.4g}" if low else "-",
        f"{row['latency_p90_ms']:.4g}",
        f"{row['throughput']:,.0f}",
        str(row["n"]),
    )


def _no_time(row: dict[str, Any], several: bool) -> tuple[str, ...]:
    return (*_named(row, several), "error", "-", "-", "-", "0")


def _joules(timed: Benchmark) -> list[str]:
    """Of each line of the table."""
    cells = [f"{t.energy.joules_per_image:.3g}" if t.energy else "-" for t in timed.timings]
    return cells + ["-"] * len(timed.failures)


def _named(row: dict[str, Any], several: bool) -> tuple[str, ...]:
    ways = [row["runtime"] or "all", row["dtype"] or "all"] if several else []
    return (row["subject"], row["part"], str(row["batch_size"] or "all"), *ways)


def _noise(rows: list[dict[str, Any]], several: bool) -> str:
    """The references: one for each batch size and way."""
    ratios = {
        f"at batch {row['batch_size']}" + (f" by {row['runtime']}, {row['dtype']}" if several else ""): row[
            "aa_ratio"
        ]
        for row in rows
    }
    return "A/A " + (", " if not several else "; ").join(
        f"{ratio:.3f} {where}" for where, ratio in ratios.items()
    )


def _said(timed: Benchmark, rows: list[dict[str, Any]]) -> list[str]:
    """Below the table: what checks say, how far the ways agree, what is doubtful and what failed."""
    lines = []
    if checked := [row["checked"] for row in rows if row["checked"] is not None]:
        lines.append(f"Deployed forms checked: {max(checked):.1e} from the trained ones.")
    if others := [row["from_eager"] for row in rows if row["from_eager"] is not None]:
        lines.append(f"Runtimes checked: {max(others):.1e} from eager PyTorch in the same dtype.")
    energies = {t.batch_size: t.energy for t in reversed(timed.timings) if t.energy}
    for batch, energy in sorted(energies.items()):
        lines.append(
            f"Energy at batch {batch}: {energy.what}, all that runs there, idle power in it: {energy.idle_watts:.3g} W; "
            f"A/A {energy.aa_ratio:.3f}."
        )
    lines += [f"Batch {batch}, {agreement}" for batch, agreement in timed.orders()]
    several = len(timed.ways) > 1
    for row in rows:
        if row["doubt"]:
            where = f", {row['runtime']}, {row['dtype']}" if several else ""
            lines.append(
                f"? {row['subject']}, {row['part']}, batch {row['batch_size']}{where}: {row['doubt']}"
            )
    for (reason, way), subjects in timed.refusals().items():
        lines.append(f"error, {', '.join(subjects)}{f' by {way}' if way else ''}: {reason}")
    return lines


def _by_operation(
    subjects: Sequence[str], asked: dict[str, Any], figure: Path | None, format: str, output: Path | None
) -> int:
    from blockzoo.core.environment import describe
    from blockzoo.operations import benchmark_operations
    from blockzoo.report.operation_tables import compared, limit_lines, timed_rows, timed_tables
    from blockzoo.report.why import beyond_limits, difference, why

    timed = benchmark_operations(subjects, **asked)
    tables, sentences = [limit_lines(timed.machine)], []
    first = {one.batch_size: one for one in reversed(timed.breakdowns)}
    for one in timed.breakdowns:
        tables += timed_tables(one, timed.machine)
        sentences.append(why(one.label, one.timed, timed.machine))
        if (beside := first[one.batch_size]) is not one:
            tables.append(compared(beside, one))
            sentences.append(difference(beside, one))
    checked = [one.checked for one in timed.breakdowns if one.checked is not None]
    facts = [f"Timed on {timed.environment['timed_on']}. {describe(timed.environment)}", *timed.left_out]
    facts += beyond_limits(timed.breakdowns, timed.machine)
    facts += [f"Deployed forms checked: {max(checked):.1e} from the trained ones."] if checked else []
    rows = [row for one in timed.breakdowns for row in timed_rows(one, timed.machine)]
    screen.show(tables, rows, format, output, below="\n".join((*sentences, "", *facts)))
    if figure is not None:
        from blockzoo.report.pictures.looks import save
        from blockzoo.report.pictures.roofline import draw

        save(draw(timed.breakdowns, timed.machine, timed.environment["timed_on"]), figure)
        screen.say(f"written to {figure}")
    return 0
