"""run: rounds of block-wise or ordinary training (the command that is meant where none is named)"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.blockwise import _options as own
from blockzoo.core.spec import THREADS


def run(
    *,
    training_mode: Annotated[
        str, Parameter(help="distributed, jacobi, gauss-seidel, async, entire, local-sgd")
    ] = "jacobi",
    model: own.Model = "feedforward",
    config: own.Config = "",
    combine: own.Combine = "average",
    partition: own.Partition = "blocks",
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    image_size: o.ImageSize = 32,
    limit_train: o.LimitTrain = None,
    rounds: Annotated[int, Parameter(help="communication rounds")] = 100,
    k: Annotated[
        own.Numbers,
        Parameter(
            name=("--K", "--k"), help="local steps in a round, one number or one per block (default 10)"
        ),
    ] = None,
    step_size: Annotated[
        own.Numbers,
        Parameter(
            name=("--step-size", "--lr"), help="of the local optimiser, one or one per block (default 1e-3)"
        ),
    ] = None,
    optimizer: Annotated[
        own.Numbers, Parameter(help="of torch.optim, by name, one or one per block (default sgd)")
    ] = None,
    batch_size: Annotated[int, Parameter(help="examples per step; 0 for the most that memory allows")] = 256,
    gamma: Annotated[
        float, Parameter(help="how far the centre moves towards a worker's block, in (0, 1]")
    ] = 1.0,
    prox_lambda: Annotated[
        own.Numbers, Parameter(help="weight of the proximal term, one or one per block (default 0)")
    ] = None,
    delta_factor: Annotated[
        float, Parameter(help="local steps end at |grad| <= factor lambda |x - x_ref|")
    ] = 0.1,
    share_of_active_workers: Annotated[float, Parameter(help="of all blocks, drawn anew each round")] = 1.0,
    order: Annotated[
        str, Parameter(help="gauss-seidel: ascending, descending, random or importance")
    ] = "ascending",
    max_staleness: Annotated[int, Parameter(help="async: rounds by which a worker may lag behind")] = 2,
    buffers: Annotated[
        str, Parameter(help="running statistics: of the own block's worker, or the average of all")
    ] = "own",
    vectorised: Annotated[
        bool, Parameter(help="jacobi: all workers of a small network step at once", negative=())
    ] = False,
    tuned: Annotated[
        float,
        Parameter(
            help="1: proximal weights, step sizes and K from a coupling map measured first; or a share of the weight"
        ),
    ] = 0.0,
    groups: Annotated[
        int | None, Parameter(help="merge blocks into so many, by a coupling map measured first")
    ] = None,
    ranks: Annotated[
        int | None,
        Parameter(help="distributed: processes to start (default: one per block, up to the cores or GPUs)"),
    ] = None,
    rank_timeout: Annotated[
        float, Parameter(help="distributed: seconds that a process may keep the others waiting")
    ] = 600.0,
    communication_delay: Annotated[float, Parameter(help="simulated seconds of a message")] = 0.0,
    bandwidth: Annotated[float, Parameter(help="simulated bytes per second of a link")] = float("inf"),
    step_seconds: Annotated[float, Parameter(help="simulated seconds of a local step")] = 0.0,
    straggler_share: Annotated[float, Parameter(help="of workers, slow in a round")] = 0.0,
    straggler_factor: Annotated[float, Parameter(help="by how much they are slower")] = 1.0,
    stopper: Annotated[str, Parameter(help="never, accuracy:0.9, loss:0.1, patience:20, A|B, A&B")] = "never",
    budget: Annotated[
        str, Parameter(help="gradient_evaluations:5000, critical_steps:N, communicated_bytes:N, seconds:N")
    ] = "",
    curriculum: Annotated[str, Parameter(help="all, growing:0.2, classes:3,5, hard")] = "all",
    step_schedule: Annotated[
        str, Parameter(help="constant, cosine, linear:0.1, step:0.5@30,60, warmup:10")
    ] = "constant",
    k_schedule: Annotated[str, Parameter(help="the same, for K")] = "constant",
    share_schedule: Annotated[str, Parameter(help="the same, for the share of workers")] = "constant",
    units: Annotated[
        own.Numbers,
        Parameter(help="measurement units: coupling, norms, 'hessian batches=2', my_file.py:MyUnit"),
    ] = None,
    units_file: Annotated[
        Path | None, Parameter(help="a file with one unit a line, Units.txt (none is read unasked)")
    ] = None,
    report_sampling_rate: Annotated[int, Parameter(help="rounds between two reports")] = 5,
    measurement_sampling_rate: Annotated[int, Parameter(help="rounds between two measurements")] = 100,
    seed: o.Seed = 0,
    threads: o.Threads = THREADS,
    device: o.Device = "auto",
    output: own.Output = Path("results"),
    resume: Annotated[
        bool,
        Parameter(
            help="go on with a run that was killed or interrupted, or that was to end sooner", negative=()
        ),
    ] = False,
    restart: Annotated[
        bool, Parameter(help="forget an earlier run of the same request", negative=())
    ] = False,
    tensorboard: Annotated[
        bool, Parameter(help="also write event files for TensorBoard", negative=())
    ] = False,
    plugin: o.Plugin = None,
    dry_run: own.DryRun = False,
) -> int:
    """Train; one folder a run, with parameters, progress, measurements, status and checkpoint."""

    from blockzoo.blockwise.run.communication import Network
    from blockzoo.blockwise.run.options import Options
    from blockzoo.blockwise.units import read_units

    lines = list(units or ())
    if units_file is not None:
        lines += read_units(units_file)
    asked = own.run_config(
        model=model,
        config=config,
        combine=combine,
        dataset=dataset,
        data_dir=data_dir,
        image_size=image_size,
        limit_train=limit_train,
        partition=partition,
        options=Options(
            training_mode=training_mode,
            rounds=rounds,
            k=own.one_or_many(k, int, "--K", Options.k),
            step_size=own.one_or_many(step_size, float, "--step-size", Options.step_size),
            optimizer=own.one_or_many(optimizer, str, "--optimizer", Options.optimizer),
            gamma=gamma,
            prox_lambda=own.one_or_many(prox_lambda, float, "--prox-lambda", Options.prox_lambda),
            delta_factor=delta_factor,
            share_of_active_workers=share_of_active_workers,
            order=order,
            max_staleness=max_staleness,
            batch_size=batch_size or 1,
            buffers=buffers,
            vectorised=vectorised,
            seed=seed,
        ),
        tuned=tuned,
        stopper=stopper,
        budget=budget,
        units=tuple(lines),
        curriculum=curriculum,
        step_schedule=step_schedule,
        k_schedule=k_schedule,
        share_schedule=share_schedule,
        report_sampling_rate=report_sampling_rate,
        measurement_sampling_rate=measurement_sampling_rate,
        network=Network(
            communication_delay, step_seconds, bandwidth, straggler_share, straggler_factor, seed
        ),
        threads=threads,
        device=device,
    )
    if batch_size == 0:
        asked = _probed(asked)
    if groups is not None:
        asked = _merged(asked, groups)
    if dry_run:
        from blockzoo.blockwise.run.launch import planned

        screen.out.print(planned(asked, ranks), soft_wrap=True, markup=False)
        return 0
    from blockzoo.blockwise.run.runs import run_blockwise
    from blockzoo.core.plugins import load_plugins

    screen.threads_used(threads, asked.device)
    found = run_blockwise(
        asked,
        output,
        adopt=resume,
        restart=restart,
        tensorboard=tensorboard,
        on_report=_print,
        ranks=ranks,
        patience=rank_timeout,
        plugins=load_plugins(plugin or ()),
    )
    if found.folder is not None:
        screen.out.print(f"{found.status}: {found.reason}", markup=False)
        screen.out.print(f"reports in {found.folder}", soft_wrap=True)
    return 0 if found.status == "finished" else 1


def _probed(asked: Any) -> Any:
    from dataclasses import replace

    from blockzoo.blockwise.run.frame import Frame
    from blockzoo.blockwise.run.probe import largest_batch_size

    size = largest_batch_size(Frame.from_config(asked))
    screen.out.print(f"the largest batch whose step fits in memory: {size}")
    return replace(asked, options=replace(asked.options, batch_size=size))


def _merged(asked: Any, groups: int) -> Any:
    """The configuration with the blocks merged that a coupling map of its first network finds strongly coupled."""
    from dataclasses import replace

    from blockzoo.blockwise.closed_loop import as_text, clustered
    from blockzoo.blockwise.curvature.coupling import coupling_map
    from blockzoo.blockwise.run.frame import Frame

    frame = Frame.from_config(asked)
    found = coupling_map(frame.model, frame.criterion, frame.probe(2), frame.partition)
    merged = clustered(frame.partition, found, groups)
    screen.out.print(f"groups: {'; '.join(merged.labels)}", soft_wrap=True)
    return replace(asked, partition=as_text(merged))


def _print(report: dict[str, Any]) -> None:
    accuracy = report.get("validation_accuracy")
    screen.out.print(
        f"round {report['round']:5}  train loss {report['train_loss']:.4f}  "
        f"validation loss {report['validation_loss']:.4f}"
        + (f"  accuracy {accuracy:.4f}" if accuracy is not None else "")
        + f"  {report['gradient_evaluations_total']:8.0f} gradients"
        + f"  {screen.number(report['communicated_bytes_total'])}B  {report['seconds_total']:.1f} s"
    )
