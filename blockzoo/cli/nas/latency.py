"""latency: time every cell on this device and predict every network by addition"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.nas import _options as own


def latency(
    *,
    width: Annotated[int, Parameter(help="channels of the first stage")] = 32,
    image_size: Annotated[int, Parameter(help="side length of the images", validator=o.at_least_one)] = 32,
    num_classes: Annotated[int, Parameter(help="of the networks")] = 100,
    check: Annotated[int, Parameter(help="whole networks timed to state the error")] = 30,
    seconds: Annotated[
        float, Parameter(help="for the whole command, torch's import included; one round is always made")
    ] = 60.0,
    device: o.Device = "auto",
    seed: o.Seed = 0,
    dry_run: own.DryRun = False,
    name: Annotated[str, Parameter(help="name of the device in the file")] = "here",
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="folder for the file and the picture")
    ] = Path("results/nas-latency"),
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> None:
    """Time 45 cells at 3 stages, stem, reductions and head, all in turns; write blox-bench-NAME and the agreement.

    Examples:
        blockzoo nas latency --seconds 60 --name laptop
        blockzoo nas latency --width 16 --num-classes 10 --check 10
    """
    from blockzoo.nas.figures import latency_agreement
    from blockzoo.nas.ranking.latency_table import measure_latency
    from blockzoo.nas.space.costs import Skeleton
    from blockzoo.report.pictures.looks import save

    if dry_run:
        screen.out.print(f"every cell of the space and {check} whole networks, about {seconds:g} s")
        return
    skeleton = Skeleton(width, num_classes=num_classes, image_size=image_size)
    table, error = measure_latency(skeleton, check=check, device=device, seconds=seconds, seed=seed)
    path = table.write(output, name, error)
    where = table.environment.get("gpu") or table.environment.get("cpu")
    picture = output / f"latency-{name}.png"
    save(
        latency_agreement(error, f"{where}, fp32, one image, {table.environment['threads']} threads"), picture
    )
    screen.answer(str(error), [error.summary()], format)
    screen.say(f"written   {path}\npicture   {picture}")
