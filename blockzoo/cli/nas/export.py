"""export: a benchmark for other tools: a blackbox folder of Syne Tune, or a table of graphs"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def export(
    *,
    benchmark: own.Benchmark = "mini",
    output: Annotated[
        Path,
        Parameter(
            name=("--output", "--out-dir", "-o"), help="folder to write to; of graph-arch a file NAME.parquet"
        ),
    ],
    format: Annotated[
        Literal["syne-tune", "graph-arch"],
        Parameter(
            help="syne-tune: its tabular blackbox; graph-arch: networks as text beside their accuracies"
        ),
    ] = "syne-tune",
    plugins: o.Plugins = (),
) -> None:
    """Write what training each network of a benchmark came to, in the format of another tool.

    An objective of Optuna is in Python: `nas.OptunaObjective`.

    Examples:
        blockzoo nas export --benchmark mini -o blackbox
        blockzoo nas export --benchmark mini -o mini.parquet --format graph-arch
    """
    from blockzoo.nas.benchmark.blackbox import write_blackbox
    from blockzoo.nas.benchmark.graph_arch import write_graph_arch
    from blockzoo.nas.benchmark.loading import open_benchmark

    dataset = open_benchmark(benchmark)
    paths = write_blackbox(dataset, output) if format == "syne-tune" else [write_graph_arch(dataset, output)]
    for path in paths:
        screen.out.print(f"written   {path}", soft_wrap=True, markup=False)
