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
    cards: Annotated[
        bool,
        Parameter(
            help="measure each block of the zoo for its page too: size, reach, graph, costs by operation (seconds each)",
            negative=(),
        ),
    ] = False,
    plugins: o.Plugins = (),
) -> None:
    """Write a site that any web server, or none, can show: its pages carry their data and load nothing.

    A results folder may hold what `nas search`, `nas latency`, `card` and block-wise runs left in it: it gets pages of its own.
    A site that is written again into its folder keeps its history: what changed since is added to it.

    Examples:
        blockzoo report results -o site
        blockzoo report results.csv -o site --title "Blocks at equal multiply-adds"
    """
    from blockzoo.card.block import measured
    from blockzoo.card.further import further_of
    from blockzoo.report.site.build import build_site

    of_card = measured if cards else None
    written = build_site(source, output, title=title, measured=of_card, further=further_of(source))
    screen.out.print(f"{len(written)} files; open {output / 'index.html'}", soft_wrap=True)
