"""datasets: the datasets, and where they are looked for"""

from __future__ import annotations

from blockzoo.cli import options as o
from blockzoo.cli import screen


def datasets(
    *,
    data_dir: o.DataDir = None,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> None:
    """List the datasets and the folders they are looked for in."""
    from blockzoo.data import search_roots
    from blockzoo.data.contracts import DATASETS

    rows = [{"dataset": name, "summary": DATASETS.summary(name)} for name in DATASETS.names()]
    made = screen.table("", ["dataset", "what it is"], [(r["dataset"], r["summary"]) for r in rows])
    made.columns[1].justify = "left"
    screen.show(made, rows, format, output)
    if format == "table":
        screen.out.print("Looked for in: " + ", ".join(map(str, search_roots(data_dir))))
        screen.out.print("Name another folder with --data-dir, or in the variable BLOCKZOO_DATA.")
