"""zero-cost: how scores of untrained networks rank them by their test accuracy"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own
from blockzoo.cli.nas._tables import correlations


def zero_cost(
    *,
    benchmark: own.Benchmark = "mini",
    networks: Annotated[int | None, Parameter(help="only so many of its networks")] = None,
    batch_size: Annotated[int, Parameter(help="images that the scores look at")] = 32,
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    seed: o.Seed = 0,
    format: o.Format = "table",
    dry_run: own.DryRun = False,
    plugins: o.Plugins = (),
) -> None:
    """Print rank correlations of grad_norm, snip, synflow, jacov, naswot and zen, beside parameters and MACs.

    Examples:
        blockzoo nas zero-cost --networks 20 --dataset digits
        blockzoo nas zero-cost --benchmark mini --format csv
    """
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.ranking.studies import zero_cost as run
    from blockzoo.nas.training.lessons import Images

    opened = open_benchmark(benchmark)
    if dry_run:
        screen.answer(repr(opened), [{"benchmark": opened.title, "networks": len(opened.indices)}], format)
        return
    images, labels = next(iter(Images.of(opened, dataset, data_dir, batch_size, batch_size, seed).train()))
    by_proxy = run(opened, images, labels, networks=opened.indices[:networks].tolist(), seed=seed)
    correlations(f"rank correlation with test accuracy, {opened.title}", by_proxy, format)
