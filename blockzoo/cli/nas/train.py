"""train: networks of the space, as a resumable sweep"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli.conditions import With
from blockzoo.cli.expanded import expanded
from blockzoo.core.checked import together
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Data, Recipe, Run, Sweeping

RECIPE = Recipe(protocol="blox-v1")
DATA = Data(dataset="cifar100")
RUN = Run(output=Path("exp"))
"""As the published benchmark was made."""


@expanded("latency", "on_oom")
def train(
    *,
    range: Annotated[
        tuple[int, int] | None, Parameter(negative=(), help="indices, the first and the last + 1")
    ] = None,
    indices: Annotated[
        list[int] | None, Parameter(negative=(), consume_multiple=True, help="indices themselves")
    ] = None,
    sample: Annotated[int | None, Parameter(help="so many networks, drawn uniformly")] = None,
    sample_seed: Annotated[int, Parameter(help="seed of that draw"), With("--sample")] = 0,
    first: Annotated[int | None, Parameter(help="only the first so many of the chosen networks")] = None,
    start: Annotated[int | None, Parameter(help="first index of what the workers share")] = None,
    per_worker: Annotated[
        int | None, Parameter(help="networks for each worker (default 50)"), With("--start")
    ] = None,
    seeds: Annotated[int, Parameter(help="how many seeds: 0, 1, ...")] = 1,
    seed: Annotated[int | None, Parameter(help="this one seed instead")] = None,
    width: Annotated[int, Parameter(help="channels of the first stage")] = 32,
    recipe: Recipe = RECIPE,
    data: Data = DATA,
    run: Run = RUN,
    sweeping: Sweeping,
    devices: Annotated[
        int | None,
        Parameter(help="GPUs, or processes with --device cpu, that train each network together (default 1)"),
    ] = None,
    gpus: Annotated[
        str | None, Parameter(help="which GPUs to use, by number: 0,1,2,3 (default: all)")
    ] = None,
    cpu: o.Cpu = False,
    dry_run: o.PlanOnly = False,
    format: o.Format = "table",
) -> int:
    """Train networks of the macro space; the same command goes on where it was interrupted.

    `blockzoo nas build OUTPUT -o release` makes a benchmark of the results.

    Examples:
        blockzoo nas train --sample 20 --dataset digits --epochs 2 --dry-run
        blockzoo nas train --range 0 50 --dataset cifar100 --output exp
    """
    from blockzoo.cli import screen
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.record import FINAL
    from blockzoo.execution.queue import worker_count
    from blockzoo.nas.training.trials import Choice, train_networks

    device, _ = o.placed(run.device, None, gpus, cpu)
    each = 1 if devices is None else devices
    if each < 1:
        raise UsageError(f"--devices {each}: give 1 or more")
    count = sweeping.workers or worker_count(device, each)
    choice = Choice(range, indices, sample, sample_seed, start, per_worker, count, first)
    networks = choice.networks()
    settings = together(replace(recipe, devices=each), data, replace(run, device=device), sweeping)
    with LiveProgress(screen.out) as progress:
        done = train_networks(
            networks,
            seeds=[seed] if seed is not None else seeds,
            width=width,
            dry_run=dry_run,
            progress=progress,
            **settings,
        )
    if dry_run:
        screen.for_programs([progress.plan], format)
        return 0
    wrong = [row for row in done.rows if row["status"] != "ok"]
    without = [row for row in done.rows if row["status"] not in FINAL]
    screen.answer(f"{len(done.rows) - len(wrong)} trainings done, {len(wrong)} not", done.rows, format)
    for row in wrong[:10]:
        screen.out.print(f"{row['status']}: {row['block']} seed {row['seed']}: {row['reason']}", markup=False)
    screen.out.print(f"store     {done.database}", soft_wrap=True)
    return 1 if without else 0
