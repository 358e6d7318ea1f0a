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
    """Time 45 cells at 3 stages, stem, reductions and head, all in turns; write blox-bench-NAME, and how well it predicts.

    Examples:
        blockzoo nas latency --seconds 60 --name laptop
        blockzoo nas latency --width 16 --num-classes 10 --check 10
    """
    from blockzoo.nas.ranking.latency_table import measure_latency
    from blockzoo.nas.space.costs import Skeleton

    if dry_run:
        message = f"every cell of the space and {check} whole networks, about {seconds:g} s"
        screen.answer(
            message,
            [{"whole_networks": check, "seconds": seconds, "width": width, "image_size": image_size}],
            format,
        )
        return
    skeleton = Skeleton(width, num_classes=num_classes, image_size=image_size)
    table, agreement = measure_latency(skeleton, check=check, device=device, seconds=seconds, seed=seed)
    path = table.write(output, name, agreement)
    picture = output / f"latency-{name}.png"
    agreement.plot(picture)
    json_path = agreement.save(output / f"latency-{name}.json")
    screen.answer(str(agreement), [agreement.summary()], format)
    screen.say(f"written   {path}\nnetworks  {json_path}\npicture   {picture}")
