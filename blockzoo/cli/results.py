"""results: means with intervals per block and position, from the store or a CSV"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def results(
    source: Annotated[Path, Parameter(help="a results folder, a .sqlite store or a .csv table")] = Path(
        "results"
    ),
    *,
    history: Annotated[
        bool, Parameter(help="print every record, the superseded ones too", negative=())
    ] = False,
    markdown: Annotated[bool, Parameter(help="print Markdown", negative=())] = False,
    timed_on: Annotated[
        str | None,
        Parameter(
            help="show the times taken in this way: words of it, 'bf16' or 'fp32, 1 threads' (default: the most)"
        ),
    ] = None,
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugin: o.Plugin = None,
) -> None:
    """Print the results. Rows are compared only where protocol, data and overrides are equal.

    Of block-wise runs: one line a run. As CSV or JSON a store's trials are given, and its runs where it has no trials.
    """
    from blockzoo.core.files import write_text
    from blockzoo.core.outputs import is_table, open_store, read_rows
    from blockzoo.report.runs import run_rows, runs_table
    from blockzoo.report.tables import markdown_table, results_table

    screen.check_output(output)
    found = read_rows(source, history=history, timed_on=timed_on)
    runs = [] if is_table(source) else open_store(source).records("blockwise", history=history)
    if not found and not runs:
        screen.out.print(f"{source} holds no trial and no run yet", soft_wrap=True)
    rows = found or run_rows(runs)
    if history or format != "table":
        screen.out.file.write(screen.as_text(rows, "json" if format == "json" else "csv"))
    elif markdown and found:
        screen.out.file.write(markdown_table(found) + "\n")
    else:
        for made in results_table(found):
            screen.out.print(made)
        if runs:
            screen.out.print(runs_table(runs))
    if output is not None:
        write_text(output, screen.as_text(rows, screen.form_of(output)))
