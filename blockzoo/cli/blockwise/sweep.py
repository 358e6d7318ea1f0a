"""sweep: several runs compared at equal cost, from a study file; resumable"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.blockwise import _options as own
from blockzoo.cli.expanded import expanded
from blockzoo.core import units
from blockzoo.core.checked import together
from blockzoo.core.settings import Run, Sweeping
from blockzoo.core.typeset import HIGH, KEY, LOW, name, number


@expanded("on_oom", "latency", "strict", "experiment_name", "notes")
def sweep(
    study: Annotated[Path, Parameter(help="YAML or TOML with base, vary, tune, seeds")],
    *,
    run: Run,
    sweeping: Sweeping,
    dry_run: own.DryRun = False,
    format: o.Format = "table",
) -> int:
    """Run every combination and seed, skip what is finished; print and draw the comparison.

    Examples:
        blockzoo blockwise sweep study.yaml --dry-run
        blockzoo blockwise sweep study.yaml --workers 4 --output results
    """
    from blockzoo.blockwise import sweep as studies
    from blockzoo.blockwise.cost_curves import over_costs
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.files import write_atomically, write_text
    from blockzoo.trials.study import read_study

    design = read_study(study, studies.BlockwiseStudy)
    if dry_run:
        count = len(design.settings())
        message = f"would run {count} settings with {design.seeds} seeds each"
        screen.answer(message, [{"settings": count, "seeds": design.seeds}], format)
        return 0
    with LiveProgress(screen.out) as progress:
        outcomes = studies.run_blockwise_study(design, progress=progress, **together(run, sweeping))
    output = run.output
    lines = studies.compare(design, outcomes)
    rows = studies.rows(lines)
    reasons = [f"{_name(line)}: {line.reason}" for line in lines if line.reason]
    screen.show([_table(study.stem, lines), _at_equal_costs(lines)], rows, format, below="\n".join(reasons))
    text = screen.as_text(rows, "csv")
    write_text(output / f"{study.stem}.csv", text)
    figure = over_costs(lines, ["gradient_evaluations", "critical_steps", "seconds"])
    path = output / f"{study.stem}.png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=150))
    for written in (output / f"{study.stem}.csv", path):
        screen.out.print(f"written   {written}", soft_wrap=True)
    return 1 if any(run.status not in ("finished", "diverged") for run in outcomes) else 0


def _table(title: str, lines: list[Any]) -> Any:
    options = list(dict([*lines[0].setting, *lines[0].tuned])) if lines else []
    columns = [
        *map(name, options),
        number("validation loss", importance=KEY),
        number("accuracy", importance=HIGH),
        number("n", importance=HIGH),
        "gradients",
        number("critical", importance=LOW),
        number("bytes", importance=LOW),
        number("seconds", importance=4),
        number("failed", importance=6),
    ]
    cells = []
    for line in lines:
        chosen = dict([*line.setting, *line.tuned])
        costs = [line.costs.get(c) for c in ("gradient_evaluations", "critical_steps", "communicated_bytes")]
        seconds = line.costs.get("seconds")
        cells.append(
            [
                *(str(chosen[option]) for option in options),
                _interval(line.validation_loss),
                _interval(line.validation_accuracy, missing=""),
                str(len(line.runs)),
                *("-" if cost is None else units.number(round(cost)) for cost in costs),
                "-" if seconds is None else f"{seconds:.1f}",
                str(line.not_finished),
            ]
        )
    return screen.table(f"{title}, best first", columns, cells)


def _at_equal_costs(lines: list[Any]) -> Any:
    from blockzoo.blockwise.sweep import at_equal_costs

    names = [_name(line) for line in lines]
    cells = [
        [f"{amount:,.0f} {cost.replace('_', ' ')}", *map(_interval, losses)]
        for cost, amount, losses in at_equal_costs(lines)
    ]
    return screen.table("validation loss at equal cost", ["cost", *names], cells)


def _name(line: Any) -> str:
    return ", ".join(str(value) for _, value in line.setting)


def _interval(value: Any, missing: str = "-") -> str:
    return missing if value is None else str(value.text(4))
