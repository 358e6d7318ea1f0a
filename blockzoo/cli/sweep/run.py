"""run: a grid of blocks, positions and seeds, each trial a process, each outcome a row"""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import consent
from blockzoo.core.checked import settings_of, together
from blockzoo.core.documents import check_fields, describe
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import OF_SWEEPS, Budgeting, Data, Designing, Recipe, Run, Scaffold, Sweeping


@expanded("devices", "sync_batch_norm")
def run(
    *,
    blocks: Annotated[list[str] | None, Parameter(help="subjects, or all", consume_multiple=True)] = None,
    positions: Annotated[
        list[str] | None,
        Parameter(help="all, or some of early, mid, late (default all)", consume_multiple=True),
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
    config: Annotated[
        Path | None, Parameter(help="a YAML or TOML file with these options; the command line wins")
    ] = None,
) -> int:
    """Run every block at every position with every seed; skip what is done; then time all side by side.

    Interrupt it at any time (Ctrl-C; once more to end at once): the same command goes on from there. Exit code 1 where a trial
    came to no result. `blockzoo sweep status`, `resume`, `retry` and `cancel` are about the last sweep of a folder.
    """
    options: dict[str, Any] = {"blocks": blocks, "positions": positions, "seeds": seeds}
    options |= {"dry_run": dry_run, "plots": plots}
    options |= together(scaffold, budgeting, designing, recipe, data, running, sweeping)
    if config:
        changed = _changed(_from_file(config), options, config)
        with consent.text_of(config):
            consent.check_address(changed.get("address"))
        options |= changed
    if not options["blocks"]:
        raise UsageError(
            "the grid is empty: name at least one block, as in --blocks ResNetBasicBlock, or --blocks all"
        )
    options["positions"] = options["positions"] or "all"
    draw = options.pop("plots")
    return finish(draw=draw, **options)


def finish(*, draw: bool = True, **options: Any) -> int:
    """Run a sweep with a progress bar and print its table. 1 where a trial came to no result."""
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.errors import reason_of
    from blockzoo.core.record import FINAL
    from blockzoo.trials.sweep import run_sweep
    from blockzoo.visualize import plot_results

    with LiveProgress(screen.out) as progress:
        done = run_sweep(**options, progress=progress)
    if options.get("dry_run"):
        return 0
    _show(done.rows, str(options.get("design", "isolated")))
    for row in [row for row in done.rows if row["status"] != "ok"][:10]:
        screen.out.print(
            f"{row['status']}: {row['block']}/{row['position']} seed {row['seed']}: {row['reason']}",
            markup=False,
        )
    screen.out.print(f"table     {done.csv}\nstore     {done.database}", soft_wrap=True)
    if draw:
        try:
            for path in plot_results(done.rows, done.csv.parent / "figures"):
                screen.out.print(f"picture   {path}", soft_wrap=True)
        except Exception as error:  # the rows are stored and shown
            screen.out.print(f"no picture: {reason_of(error)}", markup=False)
    without = len(done.plan.trials) - sum(row["status"] in FINAL for row in done.rows)
    if without:
        screen.out.print(
            f"{without} of {len(done.plan.trials)} trials have no result; `blockzoo sweep retry` tries them again"
        )
    return 1 if without else 0


def _show(rows: list[dict[str, Any]], design: str) -> None:
    """What a design was for: a table of means; worths in company; the verdicts on the survivors."""
    from blockzoo.core.errors import UsageError
    from blockzoo.report.comparison import verdicts
    from blockzoo.report.crossed import crossed_models
    from blockzoo.report.tables import results_table
    from blockzoo.report.verdicts import comparison_tables
    from blockzoo.report.worths import worth_tables
    from blockzoo.trials.designs import HALVING_END

    if design == "crossed":
        try:
            screen.out.print(worth_tables(crossed_models(rows)))
            return
        except UsageError as error:  # too few came to a result
            screen.out.print(f"no worths: {error}", markup=False)
    if design == "halving":
        rows = [row for row in rows if str(row["experiment_name"]).endswith(HALVING_END)]
    for made in results_table(rows):
        screen.out.print(made)
    if design == "halving":
        screen.out.print(comparison_tables([one for one in verdicts(rows) if one.differences]))


def _from_file(path: Path) -> dict[str, Any]:
    from blockzoo.core.plugins import absolute, read_options

    options = read_options(path)
    plugins = options.get("plugins") or options.get("plugin") or ()
    named = [plugins] if isinstance(plugins, str) else plugins if isinstance(plugins, list) else []
    with consent.text_of(path):
        for plugin in named:
            consent.check(absolute(str(plugin)))
    return options


def _changed(from_file: dict[str, Any], given: dict[str, Any], file: Path) -> dict[str, Any]:
    """The file's options, but for those given on the command line (where they differ from the defaults)."""
    kinds = {name: kind for name, kind in get_type_hints(run).items() if name not in ("config", "return")}
    spellings = {
        spelling.strip("-").replace("-", "_"): name
        for name, field in settings_of(*OF_SWEEPS).items()
        for spelling in field.metadata["names"]
    }
    read = {spellings.get(k, k): v for k, v in ((k.replace("-", "_"), v) for k, v in from_file.items())}
    if unknown := set(read) - set(kinds):
        raise UsageError(
            f"unknown options in the sweep file {file}: {', '.join(map(describe, sorted(unknown)))}; "
            f"known: {', '.join(kinds)}"
        )
    for name, kind in kinds.items():
        if name in read:
            read[name] = _as_written(read[name], kind)
    check_fields(kinds, read, str(file))
    defaults = {name: parameter.default for name, parameter in signature(run).parameters.items()}
    return {name: value for name, value in read.items() if given[name] == defaults[name]}


def _as_written(value: Any, kind: Any) -> Any:
    """A value of a file as a command has it: a path of its text, several of one text."""
    kinds = {
        get_origin(part) or part for part in (kind, *get_args(kind), *get_args(get_args(kind)[:1] or ()))
    }
    if isinstance(value, str) and Path in kinds:
        return Path(value)
    if isinstance(value, str) and list in kinds:
        return [value]
    if tuple in kinds and isinstance(value, (str, list)):
        return (value,) if isinstance(value, str) else tuple(value)
    return value
