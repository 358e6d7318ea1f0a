"""info: what a dataset file, a folder of them or a bundled benchmark holds"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own
from blockzoo.core import units


def info(
    source: Annotated[
        Path, Parameter(help="a dataset file, a folder, or the name of a bundled benchmark")
    ] = Path("mini"),
    *,
    allow_pickle: own.AllowPickle = False,
    plugins: o.Plugins = (),
) -> None:
    """Describe dataset files: part, rows, columns, size on disk and in memory."""
    from blockzoo.nas.benchmark.loading import BUNDLED
    from blockzoo.nas.files.folder import Folder
    from blockzoo.nas.files.maintenance import describe_file

    place = BUNDLED / source if not source.exists() and (BUNDLED / source).is_dir() else source
    if place.is_dir():
        files = Folder.open(place, allow_pickle=allow_pickle)
        paths = [path for part in sorted(files.files, key=lambda p: p.stem) if (path := files.file(part))]
    else:
        paths = [place]
    lines = []
    for path in paths:
        f = describe_file(path, allow_pickle=allow_pickle)
        sizes = [units.size(int(str(f[name]))) for name in ("file_bytes", "memory_bytes")]
        lines.append(
            (
                path.name,
                str(f["type"]),
                f"{f['rows']:,}",
                str(f["epochs"] or "-"),
                str(f["dataset"] or "-"),
                *sizes,
                str(f["columns"]),
            )
        )
    made = screen.table(
        "", ["file", "type", "rows", "epochs", "images", "on disk", "in memory", "columns"], lines
    )
    made.columns[7].justify = "left"
    screen.out.print(made)
