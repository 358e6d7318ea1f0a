"""convert: a dataset file, or a folder of them, into another format"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def convert(
    source: Annotated[Path, Parameter(help="a dataset file or a folder of them")],
    target: Annotated[Path, Parameter(help="a file, whose suffix says the format, or a folder")],
    *,
    to: Annotated[
        str | None, Parameter(help="format of a folder's files: native, blox, csv or pickle")
    ] = None,
    overwrite: own.Overwrite = False,
    allow_pickle: own.AllowPickle = False,
    plugins: o.Plugins = (),
) -> None:
    """Convert dataset files without loss; what a format cannot hold is refused with the column named.

    Examples:
        blockzoo nas convert blox-base-0.blox blox-base-0.csv
        blockzoo nas convert release converted --to native
    """
    from blockzoo.nas.files.maintenance import convert as run

    for path in run(source, target, suffix=to, overwrite=overwrite, allow_pickle=allow_pickle):
        screen.out.print(f"written   {path}", soft_wrap=True)
