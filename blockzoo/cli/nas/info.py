"""info: what a dataset file, a folder of them or a bundled benchmark holds"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own
from blockzoo.core import units
from blockzoo.core.typeset import HIGH, KEY, LOW, MIDDLE, name, number, prose


def info(
    source: Annotated[
        Path, Parameter(help="a dataset file, a folder, or the name of a bundled benchmark")
    ] = Path("mini"),
    *,
    allow_pickle: own.AllowPickle = False,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> None:
    """Describe dataset files: part, rows, columns, size on disk and in memory.

    Examples:
        blockzoo nas info mini
        blockzoo nas info release/blox-base-0.native --format json
    """
    from blockzoo.nas.benchmark.loading import BUNDLED, bundled, load
    from blockzoo.nas.benchmark.surrogate import numbers_of
    from blockzoo.nas.files.folder import Folder
    from blockzoo.nas.files.maintenance import describe_file

    if str(source) in bundled() and not (BUNDLED / source).is_dir() and not source.exists():
        numbers = numbers_of(load(str(source)))
        screen.answer(f"{source}: {numbers}", [{"benchmark": str(source), "numbers": numbers}], format)
        return
    place = BUNDLED / source if not source.exists() and (BUNDLED / source).is_dir() else source
    if place.is_dir():
        files = Folder.open(place, allow_pickle=allow_pickle)
        paths = [path for part in sorted(files.files, key=lambda p: p.stem) if (path := files.file(part))]
    else:
        paths = [place]
    rows = [{"file": path.name, **describe_file(path, allow_pickle=allow_pickle)} for path in paths]
    lines = [
        (
            str(row["file"]),
            str(row["type"]),
            f"{row['rows']:,}",
            str(row["epochs"] or "-"),
            str(row["dataset"] or "-"),
            *(units.size(int(str(row[size]))) for size in ("file_bytes", "memory_bytes")),
            str(row["columns"]),
        )
        for row in rows
    ]
    columns = [
        "file",
        name("type", LOW),
        number("rows", importance=KEY),
        number("epochs"),
        name("images", MIDDLE),
        number("on disk"),
        number("in memory", importance=LOW),
        prose("columns", HIGH),
    ]
    screen.show(screen.table("", columns, lines), rows, format)
