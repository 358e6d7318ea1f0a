"""export: write results.csv anew from the store"""

from __future__ import annotations

from pathlib import Path

from blockzoo.cli import screen
from blockzoo.cli.store.check import Source


def export(source: Source = Path("results"), /) -> None:
    """Write the whole table, as it is needed where a large one is behind its store, or was altered."""
    from blockzoo.core.export import export as export_table
    from blockzoo.core.outputs import Outputs, open_store

    open_store(source)  # none is made where there is none
    outputs = Outputs.at(source)
    table = export_table(outputs, outputs.store(), anew=True)
    screen.out.print(f"table     {table}", soft_wrap=True, markup=False)
