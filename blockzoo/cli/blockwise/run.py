"""run: rounds of block-wise or ordinary training (the command that is meant where none is named)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.handling import Handling, Processes
from blockzoo.blockwise.run.options import Network, Options
from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.blockwise import _options as own
from blockzoo.cli.expanded import expanded
from blockzoo.core.checked import sentence_of, together
from blockzoo.core.units import number

DEFAULTS = RunConfig(report_sampling_rate=5, device="auto")


@expanded("data_dir", "adopt", "store")
def run(
    *,
    options: Options,
    batch_size: Annotated[
        int, Parameter(("--batch-size", "-b"), help="examples per step; 0 for the most that memory allows")
    ] = Options.batch_size,
    request: RunConfig = DEFAULTS,
    config: own.Config = "",
    data_dir: o.DataDir = None,
    units: Annotated[
        list[str] | None, Parameter(help=sentence_of("units", RunConfig), consume_multiple=True, negative=())
    ] = None,
    units_file: Annotated[
        Path | None, Parameter(help="a file with one unit a line, Units.txt (none is read unasked)")
    ] = None,
    groups: Annotated[
        int | None, Parameter(help="merge blocks into so many, by a coupling map measured first")
    ] = None,
    network: Network,
    processes: Processes,
    output: own.Output = Path("results"),
    resume: Annotated[
        bool,
        Parameter(
            help="go on with a run that was killed or interrupted, or that was to end sooner", negative=()
        ),
    ] = False,
    handling: Handling,
    plugins: o.Plugins = (),
    dry_run: own.DryRun = False,
    format: o.Format = "table",
) -> int:
    """Train; one folder a run, with parameters, progress, measurements, status and checkpoint.

    Examples:
        blockzoo blockwise run --model feedforward --widths "[32,32]" --dataset digits --rounds 20
        blockzoo blockwise run --training-mode gauss-seidel --model model:resnet18 --stopper accuracy:0.9
    """

    from blockzoo.blockwise.units import read_units
    from blockzoo.trials.training import available_device

    lines = [*(units or ()), *(read_units(units_file) if units_file is not None else ())]
    request = replace(
        request,
        config=own.widths(config),
        data_dir=str(data_dir) if data_dir else None,
        units=tuple(lines),
        options=replace(options, batch_size=batch_size or 1),
        network=replace(network, seed=options.seed),
        device=available_device(request.device),
    )
    if batch_size == 0:
        request = _probed(request)
    if groups is not None:
        request = _merged(request, groups)
    if dry_run:
        from blockzoo.blockwise.run.launch import planned

        plan = planned(request, processes.ranks)
        row = {
            "model": request.model,
            "dataset": request.dataset,
            "training_mode": request.options.training_mode,
        }
        screen.answer(
            plan,
            [{**row, "rounds": request.options.rounds, "seed": request.options.seed, "plan": plan}],
            format,
        )
        return 0
    from blockzoo.blockwise.run.runs import run_blockwise
    from blockzoo.core.plugins import load_plugins

    last: dict[str, Any] = {}

    def heard(report: dict[str, Any]) -> None:
        last.update({key: value for key, value in report.items() if isinstance(value, (str, int, float))})
        _print(report)

    screen.threads_used(request.threads, request.device)
    trained = run_blockwise(
        request,
        output,
        on_report=heard,
        **together(replace(handling, adopt=resume), replace(processes, plugins=tuple(load_plugins(plugins)))),
    )
    if trained.folder is not None:
        row = {"status": trained.status, "reason": trained.reason, "folder": str(trained.folder), **last}
        screen.answer(f"{trained.status}: {trained.reason}", [row], format)
        screen.say(f"reports in {trained.folder}")
    return 0 if trained.status == "finished" else 1


def _probed(request: RunConfig) -> RunConfig:
    from blockzoo.blockwise.run.frame import Frame
    from blockzoo.blockwise.run.probe import largest_batch_size

    size = largest_batch_size(Frame.from_config(request))
    screen.out.print(f"the largest batch whose step fits in memory: {size}")
    return replace(request, options=replace(request.options, batch_size=size))


def _merged(request: RunConfig, groups: int) -> RunConfig:
    """The configuration with the blocks merged that a coupling map of its first network finds strongly coupled."""
    from blockzoo.blockwise.closed_loop import as_text, clustered
    from blockzoo.blockwise.curvature.coupling import coupling_map
    from blockzoo.blockwise.run.frame import Frame

    frame = Frame.from_config(request)
    coupling = coupling_map(frame.model, frame.criterion, frame.probe(2), frame.partition)
    merged = clustered(frame.partition, coupling, groups)
    screen.out.print(f"groups: {'; '.join(merged.labels)}", soft_wrap=True)
    return replace(request, partition=as_text(merged))


def _print(report: dict[str, Any]) -> None:
    accuracy = report.get("validation_accuracy")
    screen.out.print(
        f"round {report['round']:5}  train loss {report['train_loss']:.4f}  "
        f"validation loss {report['validation_loss']:.4f}"
        + (f"  accuracy {accuracy:.4f}" if accuracy is not None else "")
        + f"  {report['gradient_evaluations_total']:8.0f} gradients"
        + f"  {number(report['communicated_bytes_total'])}B  {report['seconds_total']:.1f} s"
    )
