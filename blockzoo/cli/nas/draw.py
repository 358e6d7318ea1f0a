"""draw: accuracy against cost of a benchmark, or the graph of a network"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import Without
from blockzoo.cli.nas import _options as own


def draw(
    architecture: Annotated[
        str | None, Parameter(help="an index or a hash: draw this network instead")
    ] = None,
    *,
    benchmark: Annotated[own.Benchmark, Without("ARCHITECTURE")] = "mini",
    output: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="the picture: .png or .svg", validator=o.check_picture),
    ] = Path("benchmark.png"),
    plugins: o.Plugins = (),
) -> None:
    """Draw a benchmark as accuracy against MACs and parameters, or one network as its graph.

    Examples:
        blockzoo nas draw --benchmark mini --output benchmark.svg
        blockzoo nas draw 1234 --output network.png
    """
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.figures import accuracy_against_cost, draw_architecture
    from blockzoo.nas.space.published import published_space
    from blockzoo.report.pictures.looks import save

    if architecture is not None:
        arch: int | str = (
            int(architecture) if architecture.isdecimal() and len(architecture) < 32 else architecture
        )
        save(draw_architecture(arch, published_space()), output)
    else:
        save(accuracy_against_cost(open_benchmark(benchmark)), output)
    screen.out.print(f"picture   {output}", soft_wrap=True)
