"""build: the files of a benchmark from trained networks"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def build(
    source: Annotated[Path, Parameter(help="a results folder of `nas train`, or published training pickles")],
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="folder for the files")],
    formats: Annotated[
        tuple[str, ...], Parameter(negative=(), consume_multiple=True, help="native, blox, csv, pickle")
    ] = (
        "native",
        "csv",
    ),
    experiment_name: Annotated[str | None, Parameter(help="only trials of this name")] = None,
    round_counts: Annotated[
        bool,
        Parameter(
            name="--round", negative=(), help="in .blox, round accuracies to the nearest count it can hold"
        ),
    ] = False,
    overwrite: own.Overwrite = False,
    allow_pickle: own.AllowPickle = False,
    plugins: o.Plugins = (),
) -> None:
    """Write blox-base, blox-ext, blox-env of each seed and blox-info; list what is missing.

    Examples:
        blockzoo nas build exp --output release
        blockzoo nas build exp --output release --formats native blox csv --overwrite
    """
    from blockzoo.nas.benchmark.release import build_release

    release = build_release(
        source,
        output,
        formats,
        experiment_name=experiment_name,
        round_counts=round_counts,
        overwrite=overwrite,
        allow_pickle=allow_pickle,
    )
    for path in release.files:
        screen.out.print(f"written   {path}", soft_wrap=True)
    screen.out.print(f"{release.networks:,} networks, seeds {', '.join(map(str, release.seeds))}")
    missing = sum(b - a + 1 for a, b in release.holes)
    if missing:
        shown = ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in release.holes[:8])
        screen.out.print(
            f"missing between the first and the last: {missing:,} networks ({shown}{', ...' if len(release.holes) > 8 else ''})"
        )
    for line in release.unfinished[:20]:
        screen.out.print(f"left out  {line}", markup=False, soft_wrap=True)
