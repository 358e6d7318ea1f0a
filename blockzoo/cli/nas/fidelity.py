"""fidelity: how early epochs rank networks by their final test accuracy"""

from __future__ import annotations

from blockzoo.cli import options as o
from blockzoo.cli.nas import _options as own
from blockzoo.cli.nas._tables import correlations


def fidelity(
    *, benchmark: own.Benchmark = "mini", format: o.Format = "table", plugins: o.Plugins = ()
) -> None:
    """Print the rank correlation of validation accuracy at each epoch with the final test accuracy.

    Examples:
        blockzoo nas fidelity
        blockzoo nas fidelity --benchmark release --format csv
    """
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.ranking.studies import fidelity as run

    dataset = open_benchmark(benchmark)
    correlations(f"rank correlation with final test accuracy, {dataset.title}", run(dataset), format)
