"""study: baseline, from scratch and fine-tuned over blockings and paddings, paired over seeds; resumable"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core.checked import together
from blockzoo.core.settings import Run, Sweeping


@expanded("data_dir", "on_oom", "latency", "strict", "experiment_name", "notes")
def study(
    file: Annotated[
        Path, Parameter(help="YAML or TOML with archs, dataset, blockings, paddings, seeds, ...")
    ],
    data_dir: own.DataDir = None,
    *,
    dataset: Annotated[str | None, Parameter(help="in place of the study's")] = None,
    run: Run,
    sweeping: Sweeping,
    markdown: Annotated[bool, Parameter(help="the same as --format markdown", negative=())] = False,
    dry_run: Annotated[bool, Parameter(help="print what would run, train nothing", negative=())] = False,
    format: o.Format = "table",
) -> int:
    """Run what is not done yet, then print the three kinds of table with intervals beside the published figures.

    Interrupt it at any time: the same command goes on from there.

    Examples:
        blockzoo tile study study.yaml --dry-run
        blockzoo tile study study.yaml --dataset digits --format markdown
    """
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.files import write_text
    from blockzoo.tiling.experiments.comparison import comparisons
    from blockzoo.tiling.experiments.paired_runs import TilingStudy, run_tiling_study
    from blockzoo.trials.study import read_study

    design = read_study(file, TilingStudy)
    design = replace(design, dataset=dataset) if dataset else design
    options = together(replace(run, data_dir=data_dir, latency=False), sweeping)
    if dry_run:
        run_tiling_study(design, dry_run=True, on_plan=partial(_print_plan, format), **options)
        return 0
    with LiveProgress(screen.out) as progress:
        lines = run_tiling_study(design, progress=progress, **options)
    output = run.output
    tables = comparisons(lines, design.base.tag)
    screen.show([table.typeset() for table in tables], lines, "markdown" if markdown else format)
    write_text(output / f"{file.stem}.csv", screen.as_text(lines, "csv"))
    write_text(output / f"{file.stem}.md", "\n\n".join(table.markdown() for table in tables) + "\n")
    for suffix in ("csv", "md"):
        screen.out.print(f"written   {output / f'{file.stem}.{suffix}'}", soft_wrap=True)
    failed = [line for line in lines if line["status"] != "ok"]
    return 1 if failed else 0


def _print_plan(format: str, runs: list[Any]) -> None:
    lines = []
    for run in runs:
        started = f", from the baseline {run.spec.start_identity}" if run.spec.start else ""
        lines.append(
            f"{run.way}: {run.spec.network.subject} seed {run.seed}, {run.spec.epochs} epochs, lr {run.spec.lr:g}{started}"
        )
    rows = [{"way": run.way, **run.spec.planned()} for run in runs]
    screen.answer("\n".join([*lines, f"{len(runs)} runs"]), rows, format)
