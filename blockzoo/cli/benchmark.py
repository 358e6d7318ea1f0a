"""benchmark: what blocks cost on a clock, timed side by side"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core.checked import together
from blockzoo.core.settings import Benchmarking, Scaffold, Seeded


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
    compile: Annotated[bool, Parameter(help="the same as --runtime compile", negative=())] = False,
    seeded: Seeded,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Time one or more subjects in shuffled, interleaved rounds; all deployed alike and checked for equality.

    The line A/A is the first network against a second copy of itself: its distance from 1 is the noise. Where it is off, or
    samples are wild, the run is made again while there is time; a time that stays doubtful has a ? and its reason.

    With --by operation: which operations the time goes to, what limits each (compute, memory, the number of calls), by the limits
    of this machine, measured first; of several subjects, where they differ.
    """
    screen.check_output(output)
    o.check_only_with_by(by, {"--part": part, "--figure": figure})
    from blockzoo.benchmark import benchmark_block
    from blockzoo.core.environment import describe

    if compile:
        how = replace(how, runtime="compile")
    settings = together(scaffold, how, seeded)
    if by is not None:
        asked = {
            "position": position,
            "out_dim": out_dim,
            "input_shape": input_shape,
            "part": part,
            **settings,
        }
        return _by_operation(subjects, asked, figure, format, output)
    timed = benchmark_block(subjects, position, out_dim=out_dim, input_shape=input_shape, **settings)
    rows = [timing.columns() for timing in timed.timings]
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
        f"Latency on {timed.environment['timed_on']}",
        ["subject", "part", "batch", "median ms", "95 % interval", "p90 ms", "images/s", "n"],
        lines,
        "\n".join(
            [
                f"A/A {', '.join(noise.values())}. {describe(timed.environment)}",
                *([f"Deployed forms checked: {max(checked):.1e} from the trained ones."] if checked else []),
                *reasons,
            ]
        ),
    )
    screen.show(made, rows, format, output)
    return 1 if timed.failures else 0


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
    made = screen.tables(tables, "\n".join((*sentences, "", *facts)))
    rows = [row for one in timed.breakdowns for row in timed_rows(one, timed.machine)]
    screen.show(made, rows, format, output)
    if figure is not None:
        from blockzoo.report.charts import save
        from blockzoo.report.roofline_figure import draw

        save(draw(timed.breakdowns, timed.machine, timed.environment["timed_on"]), figure)
        if format == "table":
            screen.out.print(f"written to {figure}", soft_wrap=True)
    return 0
