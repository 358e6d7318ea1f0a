"""run: a grid of blocks, positions and seeds, each trial a process, each outcome a row"""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core.checked import together
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Budgeting, Data, Designing, Recipe, Run, Scaffold, Sweeping


@expanded("devices", "sync_batch_norm")
def run(
    *,
    blocks: Annotated[
        list[str] | None, Parameter(negative=(), help="subjects, or all", consume_multiple=True)
    ] = None,
    positions: Annotated[
        list[str] | None,
        Parameter(negative=(), help="all, or some of early, mid, late (default all)", consume_multiple=True),
    ] = None,
    seeds: Annotated[int, Parameter(help="how many seeds: 0, 1, ...")] = 1,
    scaffold: Scaffold,
    budgeting: Budgeting,
    designing: Designing,
    recipe: Recipe,
    data: Data,
    running: Run,
    sweeping: Sweeping,
    dry_run: Annotated[
        bool, Parameter(help="print the plan and the estimate, train nothing", negative=())
    ] = False,
    plots: o.Plots = True,
    format: o.Format = "table",
) -> int:
    """Run every block at every position with every seed; skip what is done; then time all side by side.

    Interrupt it at any time (Ctrl-C; once more to end at once): the same command goes on from there. Exit code 1 where a trial
    came to no result. `blockzoo sweep status`, `resume`, `retry` and `cancel` are about the last sweep of a folder.

    Examples:
        blockzoo sweep run --blocks ResNetBasicBlock InvertedResidual --dataset digits --epochs 2
        blockzoo sweep run --config grid.yaml --seeds 5 --dry-run
    """
    options: dict[str, Any] = {"blocks": blocks, "positions": positions, "seeds": seeds}
    options |= {"dry_run": dry_run, "plots": plots, "format": format}
    options |= together(scaffold, budgeting, designing, recipe, data, running, sweeping)
    if not options["blocks"]:
        raise UsageError(
            "the grid is empty: name at least one block, as in --blocks ResNetBasicBlock, or --blocks all"
        )
    options["positions"] = options["positions"] or "all"
    draw = options.pop("plots")
    return finish(draw=draw, **options)


def finish(*, draw: bool = True, format: str = "table", **options: Any) -> int:
    """Run a sweep with a progress bar and print its table. 1 where a trial came to no result."""
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.errors import reason_of
    from blockzoo.core.progress import working
    from blockzoo.core.record import FINAL
    from blockzoo.trials.sweep import run_sweep
    from blockzoo.visualize import plot_results

    with LiveProgress(screen.out) as progress:
        done = run_sweep(**options, progress=progress)
    if options.get("dry_run"):
        screen.for_programs([progress.plan], format)
        return 0
    _show(done.rows, str(options.get("design", "isolated")), format)
    for row in [row for row in done.rows if row["status"] != "ok"][:10]:
        screen.out.print(
            f"{row['status']}: {row['block']}/{row['position']} seed {row['seed']}: {row['reason']}",
            markup=False,
        )
    screen.out.print(f"table     {done.csv}\nstore     {done.database}", soft_wrap=True)
    if draw:
        try:
            with working("drawing"):
                pictures = plot_results(done.rows, done.csv.parent / "figures")
            for path in pictures:
                screen.out.print(f"picture   {path}", soft_wrap=True)
        except Exception as error:  # the rows are stored and shown
            screen.out.print(f"no picture: {reason_of(error)}", markup=False)
    without = len(done.plan.trials) - sum(row["status"] in FINAL for row in done.rows)
    if without:
        screen.out.print(
            f"{without} of {len(done.plan.trials)} trials have no result; `blockzoo sweep retry` tries them again"
        )
    return 1 if without else 0


def _show(rows: list[dict[str, Any]], design: str, format: str) -> None:
    """What a design was for: a table of means; worths in company; the verdicts on the survivors."""
    from blockzoo.core.errors import UsageError
    from blockzoo.report.comparison import verdicts
    from blockzoo.report.crossed import crossed_models
    from blockzoo.report.tables import results_table
    from blockzoo.report.verdicts import comparison_tables
    from blockzoo.report.worths import worth_tables

    if design == "crossed":
        try:
            screen.show(worth_tables(crossed_models(rows)), rows, format)
            return
        except UsageError as error:  # too few came to a result
            screen.out.print(f"no worths: {error}", markup=False)
    tables = results_table(rows)
    if design == "halving":
        tables += comparison_tables([one for one in verdicts(rows) if one.differences])
    screen.show(tables, rows, format)
