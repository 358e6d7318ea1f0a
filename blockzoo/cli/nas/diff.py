"""diff: in what two dataset files differ, whatever their formats"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def diff(
    first: Annotated[Path, Parameter(help="a dataset file")],
    second: Annotated[Path, Parameter(help="another")],
    *,
    allow_pickle: own.AllowPickle = False,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Say whether two files hold the same; exit code 1 where they do not.

    Examples:
        blockzoo nas diff blox-base-0.blox blox-base-0.csv
        blockzoo nas diff old/blox-info.native new/blox-info.native
    """
    from blockzoo.nas.files.io import read_dataset_file
    from blockzoo.nas.files.maintenance import differences

    lines = differences(*(read_dataset_file(path, allow_pickle=allow_pickle) for path in (first, second)))
    screen.answer("\n".join(lines) if lines else "equal", [{"difference": line} for line in lines], format)
    return 1 if lines else 0
