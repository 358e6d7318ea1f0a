"""merge: one dataset file from several that hold networks of their own"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def merge(
    *sources: Annotated[Path, Parameter(help="dataset files with equal columns")],
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="the file to write; its suffix says the format")
    ],
    overwrite: own.Overwrite = False,
    allow_pickle: own.AllowPickle = False,
    plugins: o.Plugins = (),
) -> None:
    """Merge dataset files; a network that two of them hold must be the same in both.

    Examples:
        blockzoo nas merge part-1.native part-2.native --output all.native
        blockzoo nas merge part-1.csv part-2.csv --output all.csv --overwrite
    """
    from blockzoo.nas.files.maintenance import merge as run

    path = run(sources, output, allow_pickle=allow_pickle, overwrite=overwrite)
    screen.out.print(f"written   {path}", soft_wrap=True)
