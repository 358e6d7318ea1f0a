"""export: write results.csv anew from the store, or its records to a file"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.cli.store.check import Source


def export(
    source: Source = Path("results"),
    /,
    *,
    records: Annotated[
        Path | None,
        Parameter(
            help="write all records to this file NAME.jsonl.gz, which `blockzoo store merge` reads, and no table"
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        Parameter(help="but for those that these files hold", consume_multiple=True, negative=()),
        With("--records"),
    ] = None,
) -> None:
    """Write the whole table, as it is needed where a large one is behind its store, or was altered; or a file of records.

    Examples:
        blockzoo store export results
        blockzoo store export results --records records.jsonl.gz
    """
    from blockzoo.core.export import export as export_table
    from blockzoo.core.outputs import Outputs, open_store
    from blockzoo.core.record_file import export_records

    store = open_store(source)  # none is made where there is none
    if records is not None:
        count = export_records(store, records, beside or ())
        screen.out.print(f"records   {records}: {count:,}", soft_wrap=True, markup=False)
        return
    outputs = Outputs.at(source)
    table = export_table(outputs, outputs.store(), anew=True)
    screen.out.print(f"table     {table}", soft_wrap=True, markup=False)
