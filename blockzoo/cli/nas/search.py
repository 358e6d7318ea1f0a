"""search: algorithms against each other on a benchmark, simulated: regret over budget"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.nas import _options as own
from blockzoo.core.progress import working
from blockzoo.nas.options import Contest


@expanded()
def search(
    *,
    algorithm: Annotated[
        list[str] | None, Parameter(negative=(), consume_multiple=True, help="names, or all (default: all)")
    ] = None,
    benchmark: own.Benchmark = "mini-surrogate",
    contest: Contest,
    seed: Annotated[int | None, Parameter(help="training seed of the benchmark (default: its first)")] = None,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="folder for tables, traces, manifest and pictures")
    ] = Path("results/nas-search"),
    format: o.Format = "table",
    dry_run: own.DryRun = False,
    plugins: o.Plugins = (),
) -> int:
    """Compare search algorithms on trainings that are looked up: regret with intervals over seeds, and paired tests.

    The benchmark `mini` is 300 networks that were trained; `mini-surrogate`, the default, is the whole space as a model fitted to
    these predicts it, and no measurement. The folder gets every search's trace, a manifest (command, versions, hardware),
    the paired tests, LaTeX and pictures. An algorithm of your own stands beside the others by --plugin, or as my_search.py:Mine.

    Examples:
        blockzoo nas search --algorithm random evolution --seeds 10
        blockzoo nas search --benchmark mini --budget 50 --output search
        blockzoo nas search --algorithm my_search.py:Mine random --seeds 10
    """
    import time

    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.benchmark.surrogate import numbers_of
    from blockzoo.nas.search.paired import paired, paired_table, regret_table
    from blockzoo.nas.search.simulate import compare, selected
    from blockzoo.nas.search.task import Task
    from blockzoo.nas.search.written import Request, write

    with working("reading the benchmark"):
        task = Task(open_benchmark(benchmark), contest.budget, contest.unit, contest.duplicates, seed)
    names = selected(algorithm or ["all"])
    if dry_run:
        numbers = numbers_of(task.dataset)
        text = f"{len(names)} algorithms x {contest.seeds} seeds, simulated: {', '.join(names)}\n{task.dataset.title}: {numbers}"
        settings = {name: getattr(contest, name) for name in ("seeds", "budget", "unit")}
        common = {**settings, "benchmark": benchmark, "numbers": numbers}
        screen.answer(text, [{"algorithm": name, **common} for name in names], format)
        return 0
    began = time.perf_counter()
    comparison = compare(task, names, contest.seeds, contest.workers)
    seconds = time.perf_counter() - began
    with working("testing pairs"):
        pairs = paired(comparison)
        tables = [regret_table(comparison), *([paired_table(comparison, pairs)] if pairs else [])]
    rows = [{"of": "algorithm", **row} for row in comparison.rows()] + [
        {"of": "pair", **pair.row()} for pair in pairs
    ]
    screen.show(tables, rows, format)
    request = Request(benchmark, names, contest.seeds, plugins)
    with working("writing and drawing"):
        written = write(comparison, task, request, output, seconds=seconds)
    for path in written:
        screen.say(f"written   {path}")
    return 0
