"""report: a static site of a results folder: leaderboard, a page for each block, two blocks compared, what changed"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def report(
    source: Annotated[Path, Parameter(help="a results folder, a .sqlite store or a .csv table")] = Path(
        "results"
    ),
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "--out-dir", "-o"), help="folder of the site")
    ] = Path("site"),
    title: Annotated[str | None, Parameter(help="of its pages")] = None,
    plugins: o.Plugins = (),
) -> None:
    """Write a site that any web server, or none, can show: its pages carry their data and load nothing.

    A site that is written again into its folder keeps its history: what changed since is added to it.
    """
    from blockzoo.report.site.build import build_site

    written = build_site(source, output, title=title)
    screen.out.print(f"{len(written)} files; open {output / 'index.html'}", soft_wrap=True)
