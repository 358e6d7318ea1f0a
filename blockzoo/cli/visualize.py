"""visualize: pictures of accuracy against FLOPs, latency and memory"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def visualize(
    source: Annotated[Path, Parameter(help="a .csv table or a .sqlite store")] = Path("results/results.csv"),
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "--out-dir"),
            help="folder of the pictures (default: figures/ beside the source)",
        ),
    ] = None,
    average_positions: Annotated[
        bool, Parameter(help="one point per block: the mean over positions and seeds", negative=())
    ] = False,
    plugins: o.Plugins = (),
) -> None:
    """Draw accuracy against cost, as PNG and SVG."""
    from blockzoo.visualize import plot_results

    for path in plot_results(source, output, average_positions=average_positions):
        screen.out.print(str(path), soft_wrap=True, markup=False)
