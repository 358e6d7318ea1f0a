"""examples: small files to copy and change: a block, a unit, a search, ... of your own"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.core.typeset import KEY, LOW, prose


def examples(
    name: Annotated[
        str | None, Parameter(help="copy this one: its name, or the end of it (default: list all)")
    ] = None,
    *,
    output: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="folder for the copy; a file in it is never replaced"),
        With("NAME"),
    ] = Path(),
    format: o.Format = "table",
) -> None:
    """List the examples that come with blockzoo, or copy one to a folder and say how it is run.

    Examples:
        blockzoo examples
        blockzoo examples own_unit --output mine
    """
    from blockzoo.core.shipped import copied, example
    from blockzoo.core.shipped import examples as every

    if name is None:
        rows = [{"example": one.name, "what": one.sentence, "command": one.command} for one in every()]
        columns = ["example", prose("what it shows", KEY), prose("how it is run", LOW)]
        table = screen.table("", columns, [tuple(row.values()) for row in rows])
        screen.show(table, rows, format)
        screen.say("blockzoo examples NAME copies one to this folder.")
        return
    one = example(name)
    path = copied(one, output)
    row = {
        "example": one.name,
        "written": str(path),
        "command": one.command.replace(one.path.name, str(path)),
    }
    screen.answer(
        f"written   {path}\n{row['command'] and 'run       '}{row['command']}".rstrip(), [row], format
    )
