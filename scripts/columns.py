"""Write the tables of docs/results.md anew: `python scripts/columns.py`.

The columns from `core/table.py`, the quantities from their files behind the door QUANTITIES.
"""

from __future__ import annotations

import re
from pathlib import Path

from blockzoo.core.quantity import quantities
from blockzoo.core.table import COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
OF_COLUMNS = "| column | meaning |\n|---|---|\n"
OF_QUANTITIES = "| quantity | unit | better is | what it is |\n|---|---|---|---|\n"


def columns() -> str:
    """Every column of the table of results."""
    return OF_COLUMNS + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in COLUMNS.items())


def costs() -> str:
    """Every quantity of a network, in the order of `blockzoo profile`."""
    return OF_QUANTITIES + "".join(
        f"| `{q.name}` | {q.unit} | {q.better} | {q.sentence} |\n" for q in quantities().values()
    )


def main() -> None:
    """Write them in the place of those that are there."""
    page = PAGE.read_text()
    for head, table in ((OF_COLUMNS, columns()), (OF_QUANTITIES, costs())):
        page = re.sub(re.escape(head) + r"(\|.*\n)*", lambda _, table=table: table, page)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
