"""run: a grid of blocks, positions and seeds, each trial a process, each outcome a row"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.documents import check_fields, describe
from blockzoo.core.errors import RequestError
from blockzoo.core.spec import THREADS


def run(
    *,
    blocks: Annotated[list[str] | None, Parameter(help="subjects, or all", consume_multiple=True)] = None,
    positions: Annotated[
        list[str] | None,
        Parameter(help="all, or some of early, mid, late (default all)", consume_multiple=True),
    ] = None,
    seeds: Annotated[int, Parameter(help="how many seeds: 0, 1, ...")] = 1,
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    protocol: o.Protocol = "fast-v1",
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = None,
    lr: o.LearningRate = None,
    num_blocks: o.NumBlocks = 3,
    base_channels: o.BaseChannels = 64,
    filler: o.Filler = None,
    active_blocks: o.ActiveBlocks = None,
    active_width: o.ActiveWidth = 1.0,
    image_size: o.ImageSize = None,
    limit_train: o.LimitTrain = None,
    images: o.Images = "auto",
    device: o.Device = "auto",
    workers: Annotated[
        int | None, Parameter(help="trials at a time (default: one per GPU, else per core)")
    ] = None,
    threads: o.Threads = THREADS,
    executor: Annotated[str, Parameter(help="where the trials run: local, ray or slurm")] = "local",
    address: Annotated[
        str | None, Parameter(help="of the Ray cluster (default: RAY_ADDRESS, else one is started here)")
    ] = None,
    gpus_per_trial: Annotated[
        float | None, Parameter(help="GPUs that each trial asks Ray for; a fraction shares one")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        Parameter(help="options of SLURM, as in partition=gpu time=60", consume_multiple=True),
    ] = None,
    output: o.Output = Path("results"),
    experiment_name: o.Name = "",
    notes: o.Notes = "",
    plugin: o.Plugin = None,
    on_oom: o.OnOom = "fail",
    timeout: Annotated[
        float | None, Parameter(help="seconds that an attempt at a trial may take (default: any)")
    ] = None,
    strict: o.Strict = False,
    latency: o.Latency = True,
    dry_run: Annotated[
        bool, Parameter(help="print the plan and the estimate, train nothing", negative=())
    ] = False,
    plots: Annotated[bool, Parameter(negative="--no-plots", help="draw the pictures afterwards")] = True,
    config: Annotated[
        Path | None, Parameter(help="a YAML or TOML file with these options; the command line wins")
    ] = None,
) -> int:
    """Run every block at every position with every seed; skip what is done; then time all side by side.

    Interrupt it at any time (Ctrl-C; once more to end at once): the same command goes on from there. Exit code 1 where a trial
    came to no result. `blockzoo sweep status`, `resume`, `retry` and `cancel` are about the last sweep of a folder.
    """
    given: dict[str, Any] = {k: v for k, v in locals().items() if k != "config"}
    options = {**given, **_changed(_from_file(config), given, config)} if config else given
    if not options["blocks"]:
        raise RequestError(
            "the grid is empty: name at least one block, as in --blocks ResNetBasicBlock, or --blocks all"
        )
    options["positions"] = options["positions"] or "all"
    options["slurm"] = options["slurm"] or ()
    options["plugins"] = options.pop("plugin") or ()
    draw = options.pop("plots")
    return finish(draw=draw, **options)


def finish(*, draw: bool = True, **options: Any) -> int:
    """Run a sweep with a progress bar and print its table. 1 where a trial came to no result."""
    from blockzoo.cli.progress import LiveProgress
    from blockzoo.core.errors import reason_of
    from blockzoo.core.record import FINAL
    from blockzoo.report.tables import results_table
    from blockzoo.sweep import run_sweep
    from blockzoo.visualize import plot_results

    with LiveProgress(screen.out) as progress:
        done = run_sweep(**options, progress=progress)
    if options.get("dry_run"):
        return 0
    for made in results_table(done.rows):
        screen.out.print(made)
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


def _from_file(path: Path) -> dict[str, Any]:
    from blockzoo.core import consent
    from blockzoo.core.plugins import absolute, read_options

    found = read_options(path)
    plugins = found.get("plugin") or found.get("plugins") or ()
    named = [plugins] if isinstance(plugins, str) else plugins if isinstance(plugins, list) else []
    with consent.text_of(path):
        for plugin in named:
            consent.check(absolute(str(plugin)))
    return found


def _changed(from_file: dict[str, Any], given: dict[str, Any], file: Path) -> dict[str, Any]:
    """The file's options, but for those given on the command line (where they differ from the defaults)."""
    import inspect

    defaults = {name: p.default for name, p in inspect.signature(run).parameters.items()}
    names = {
        "lr": "lr",
        "learning_rate": "lr",
        "step_size": "lr",
        "name": "experiment_name",
        "plugins": "plugin",
    }
    read = {names.get(k, k): v for k, v in ((k.replace("-", "_"), v) for k, v in from_file.items())}
    if unknown := set(read) - set(defaults):
        raise RequestError(
            f"unknown options in the sweep file {file}: {', '.join(map(describe, sorted(unknown)))}; "
            f"known: {', '.join(defaults)}"
        )
    for name in ("blocks", "positions", "plugin"):
        if isinstance(read.get(name), str):
            read[name] = [read[name]]
    for name in ("output", "data_dir"):
        if isinstance(read.get(name), str):
            read[name] = Path(read[name])
    check_fields(get_type_hints(run), read, str(file))
    return {name: value for name, value in read.items() if given[name] == defaults[name]}
