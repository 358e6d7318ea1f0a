"""validate: load every dataset file of a folder and compare its formats"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own
from blockzoo.core.typeset import KEY, LOW, number, prose


def validate(
    folder: Annotated[Path, Parameter(help="a folder of dataset files")],
    *,
    allow_pickle: own.AllowPickle = False,
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugins: o.Plugins = (),
) -> int:
    """Print the seconds that each file took and whether the formats of each part hold the same.

    Examples:
        blockzoo nas validate release
        blockzoo nas validate release --allow-pickle --format json
    """
    screen.check_output(output)
    from blockzoo.nas.files.maintenance import validate as run

    checked = run(folder, allow_pickle=allow_pickle)
    lines = [
        (c.path.name, f"{c.rows:,}", f"{c.seconds:.3f}", "; ".join(c.faults) or "ok")
        if c.opened
        else (c.path.name, "-", "-", "not opened: a pickle (--allow-pickle)")
        for c in checked
    ]
    table = screen.table(
        "", ["file", "rows", number("seconds", importance=LOW), prose("contents", KEY)], lines
    )
    rows = [
        {
            "file": str(c.path),
            "opened": c.opened,
            "rows": c.rows if c.opened else None,
            "seconds": c.seconds if c.opened else None,
            "faults": "; ".join(c.faults),
        }
        for c in checked
    ]
    screen.show(table, rows, format, output)
    wrong = sum(bool(c.faults) for c in checked)
    opened = sum(c.opened for c in checked)
    screen.out.print(
        f"{wrong} of {opened} files with faults"
        if wrong
        else f"all {opened} files read are sound, and equal in every format"
    )
    return 1 if wrong else 0
