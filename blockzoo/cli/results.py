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
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugin: o.Plugin = None,
) -> None:
    """Print the results. Rows are compared only where protocol, data and overrides are equal."""
    from blockzoo.core.files import write_text
    from blockzoo.core.outputs import Outputs
    from blockzoo.core.table import read_csv, rows
    from blockzoo.report.tables import markdown_table, results_table

    if source.suffix == ".csv":
        found = read_csv(source)
    else:
        store = Outputs.at(source).store(create=False)
        found = rows(store.records("trial", history=history), store.records("latency"))
    if history or format != "table":
        screen.out.file.write(screen.as_text(found, "json" if format == "json" else "csv"))
    elif markdown:
        screen.out.file.write(markdown_table(found) + "\n")
    else:
        for made in results_table(found):
            screen.out.print(made)
    if output is not None:
        write_text(output, screen.as_text(found, "json" if output.suffix == ".json" else "csv"))
