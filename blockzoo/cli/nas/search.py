"""search: algorithms against each other on a benchmark, simulated: regret over budget"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own
from blockzoo.core.typeset import HIGH, KEY, LOW, number


def search(
    *,
    algorithm: Annotated[
        list[str] | None, Parameter(negative=(), consume_multiple=True, help="names, or all (default: all)")
    ] = None,
    benchmark: own.Benchmark = "mini-surrogate",
    budget: Annotated[float, Parameter(help="how much each search may spend")] = 200,
    unit: Annotated[str, Parameter(help="trainings, or simulated seconds")] = "trainings",
    duplicates: Annotated[str, Parameter(help="training a network again is free or charged")] = "free",
    seeds: Annotated[int, Parameter(help="searches per algorithm")] = 20,
    seed: Annotated[int | None, Parameter(help="training seed of the benchmark (default: its first)")] = None,
    workers: Annotated[int | None, Parameter(help="processes (default: one per core)")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="folder for table and picture")] = Path(
        "results/nas-search"
    ),
    format: o.Format = "table",
    dry_run: own.DryRun = False,
    plugins: o.Plugins = (),
) -> None:
    """Compare search algorithms: mean regret with 95 % bootstrap intervals over seeds.

    Examples:
        blockzoo nas search --algorithm random evolution --seeds 10
        blockzoo nas search --benchmark mini --budget 50 --output search
    """
    from blockzoo.core.files import write_text
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.figures import regret_curves
    from blockzoo.nas.search.simulate import compare, selected
    from blockzoo.nas.search.task import Task
    from blockzoo.report.pictures.looks import save

    task = Task(open_benchmark(benchmark), budget, unit, duplicates, seed)
    if dry_run:
        names = selected(algorithm or ["all"])
        screen.out.print(
            f"{len(names)} algorithms x {seeds} seeds on {task.dataset.title}: {', '.join(names)}"
        )
        return
    made = compare(task, algorithm or ["all"], seeds, workers)
    rows = made.rows()
    lines = [
        (
            row["algorithm"],
            *(f"{row[name]:.2f}" for name in ("regret_at_10_percent", "regret_at_50_percent", "regret")),
            "-" if row["regret_low"] is None else f"{row['regret_low']:.2f} to {row['regret_high']:.2f}",
            str(row["n"]),
        )
        for row in rows
    ]
    title = f"regret in points of test accuracy on {made.label}, budget {budget:g} {unit}"
    columns = [
        "algorithm",
        number("at 10 %", importance=LOW),
        number("at 50 %", importance=LOW),
        number("at the end", importance=KEY),
        number("95 % interval", importance=KEY),
        number("n", importance=HIGH),
    ]
    screen.show(screen.table(title, columns, lines), rows, format, None)
    write_text(output / "regret.csv", screen.as_text(rows, "csv"))
    for suffix in ("png", "svg"):
        save(regret_curves(made), output / f"regret.{suffix}")
    screen.say(f"table     {output / 'regret.csv'}\npicture   {output / 'regret.png'}")
