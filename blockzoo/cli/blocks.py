"""blocks: the blocks of the zoo, and your own"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def blocks(
    *,
    variants: Annotated[bool, Parameter(help="also NAME@variant", negative=())] = False,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> None:
    """List the blocks that a command can name."""
    from blockzoo.core.contracts import BLOCKS, HOW_TO_ADD_A_BLOCK

    rows = [
        {"block": name, "summary": BLOCKS.summary(name), "from": BLOCKS.origin(name)}
        for name in BLOCKS.names(variants=variants)
    ]
    made = screen.table("", ["block", "what it is"], [(r["block"], r["summary"]) for r in rows])
    made.columns[1].justify = "left"
    screen.show(made, rows, format, output)
    if format == "table":
        screen.out.print(HOW_TO_ADD_A_BLOCK, markup=False)
