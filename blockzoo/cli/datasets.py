"""datasets: the datasets, and where they are looked for"""

from __future__ import annotations

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.typeset import KEY, prose


def datasets(
    *,
    data_dir: o.DataDir = None,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> None:
    """List the datasets and the folders they are looked for in.

    Examples:
        blockzoo datasets
        blockzoo datasets --data-dir /data --format json
    """
    from blockzoo.data import search_roots
    from blockzoo.data.contracts import DATASETS

    rows = [{"dataset": name, "summary": DATASETS.summary(name)} for name in DATASETS.names()]
    columns = ["dataset", prose("what it is", KEY)]
    table = screen.table("", columns, [(r["dataset"], r["summary"]) for r in rows])
    screen.show(table, rows, format, output)
    screen.out.print("Looked for in: " + ", ".join(map(str, search_roots(data_dir))))
    screen.out.print("Name another folder with --data-dir, or in the variable BLOCKZOO_DATA.")
