"""download: downloads nothing: where the published files are, their licence, and whether those at hand are sound"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core import units
from blockzoo.core.typeset import KEY, LOW, name, number, prose


def download(
    folder: Annotated[Path | None, Parameter(help="check the files of this folder")] = None,
    *,
    mirror: Annotated[
        Path | None, Parameter(help="a local copy of the release: copy from there first")
    ] = None,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Say where the published benchmark is, copy it from a folder of yours, check sizes and checksums; nothing is downloaded.

    Examples:
        blockzoo nas download
        blockzoo nas download release --mirror /mnt/blox
    """
    from blockzoo.core.errors import UsageError
    from blockzoo.nas.benchmark.download import EXPLANATION, check, fetch

    if folder is None:
        if mirror is not None:
            raise UsageError("--mirror: name the folder to copy into as well")
        screen.out.print(EXPLANATION, markup=False, soft_wrap=True)
        return 0
    if mirror is not None:
        for path in fetch(folder, mirror):
            screen.out.print(f"copied    {path}", soft_wrap=True)
    if not folder.is_dir():
        screen.out.print(EXPLANATION, markup=False, soft_wrap=True)
        raise UsageError(f"{folder} is no folder")
    files = check(folder)
    lines = [(f.path.name, units.size(f.size), f.sha256[:16], "; ".join(f.faults) or "ok") for f in files]
    columns = ["file", number("size"), name("SHA-256", LOW), prose("verdict", KEY)]
    rows = [
        {"file": str(f.path), "bytes": f.size, "sha256": f.sha256, "faults": "; ".join(f.faults)}
        for f in files
    ]
    screen.show(screen.table("", columns, lines), rows, format)
    return 1 if any(f.faults for f in files) else 0
