"""visualize: pictures of a table: which block is better, where, and at what cost"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import Without
from blockzoo.visualize import Kind


def visualize(
    source: Annotated[Path, Parameter(help="a .csv table or a .sqlite store")] = Path("results/results.csv"),
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "--out-dir", "-o"),
            help="folder of the pictures (default: figures/ beside the source)",
        ),
    ] = None,
    average_positions: Annotated[
        bool,
        Parameter(
            help="only accuracy against cost, one point per block: the mean over positions and seeds",
            negative=(),
        ),
    ] = False,
    against: Annotated[
        str | None,
        Parameter(
            help="the block that others are compared with (default: ResNetBasicBlock where it stands at every position, else "
            "the mean of all)"
        ),
        Without("--average-positions"),
    ] = None,
    only: Annotated[
        list[Kind] | None,
        Parameter(help="pictures of these kinds (default: all)", consume_multiple=True, negative=()),
        Without("--average-positions"),
    ] = None,
    plugins: o.Plugins = (),
) -> None:
    """Draw what the results say, as PNG and SVG: differences, verdicts, positions, accuracy against cost.

    Examples:
        blockzoo visualize results
        blockzoo visualize results/results.csv --only forest --against ResNetBasicBlock
    """
    from blockzoo.visualize import plot_results

    paths = plot_results(
        source, output, average_positions=average_positions, against=against, only=only or ()
    )
    for path in paths:
        screen.out.print(str(path), soft_wrap=True, markup=False)
