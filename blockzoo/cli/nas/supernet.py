"""supernet: train one network that holds the space, rank by shared weights, or search by gradient"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import Without
from blockzoo.cli.expanded import expanded
from blockzoo.cli.nas import _options as own
from blockzoo.cli.nas._tables import correlations
from blockzoo.nas.options import Sharing


@expanded()
def supernet(
    *,
    search: Annotated[
        bool, Parameter(help="search by gradient (DARTS) instead of ranking", negative=())
    ] = False,
    sharing: Sharing,
    networks: Annotated[
        int, Parameter(help="networks of the benchmark that are ranked"), Without("--search")
    ] = 100,
    benchmark: own.Benchmark = "mini",
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    limit_train: o.LimitTrain = None,
    seed: o.Seed = 0,
    dry_run: own.DryRun = False,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Train shared weights by single paths and print how they rank the benchmark's networks.

    Examples:
        blockzoo nas supernet --dataset digits --epochs 5 --networks 50
        blockzoo nas supernet --search --dataset digits
    """
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.training.lessons import Images, rank_by_supernet, search_by_supernet

    opened = open_benchmark(benchmark)
    if dry_run:
        screen.answer(repr(opened), [{"benchmark": opened.title, "networks": len(opened.indices)}], format)
        return 0
    images = Images.of(opened, dataset, data_dir, sharing.batch_size, limit_train, seed)

    def report(epoch: int, loss: float) -> None:
        screen.out.print(f"epoch {epoch}: loss {loss:.3f}")

    if not search:
        correlation = rank_by_supernet(
            opened, images, networks=networks, epochs=sharing.epochs, width=sharing.width, report=report
        )
        correlations(f"rank correlation with test accuracy, {opened.title}", [correlation], format)
        return 0
    index = search_by_supernet(opened, images, epochs=sharing.epochs, width=sharing.width, report=report)
    if index is None:
        screen.answer("the logits prefer a vector without a path from input to output", [], format)
    else:
        vector = opened.space.arch_vec(index)
        row = {"subject": f"macro:{index}", "index": index, "arch_vec": str(vector)}
        screen.answer(f"found     macro:{index}  {vector}", [row], format)
    return 0
