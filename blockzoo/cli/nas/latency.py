"""latency: time every cell on this device and predict every network by addition"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.nas import _options as own
from blockzoo.nas.options import Timing


@expanded()
def latency(
    *,
    timing: Timing,
    device: o.Device = "auto",
    seed: o.Seed = 0,
    dry_run: own.DryRun = False,
    name: Annotated[str, Parameter(help="name of the device in the file")] = "here",
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="folder for the file and the picture")
    ] = Path("results/nas-latency"),
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Time 45 cells at 3 stages, stem, reductions and head, all in turns; write blox-bench-NAME, and how well it predicts.

    Examples:
        blockzoo nas latency --seconds 60 --name laptop
        blockzoo nas latency --width 16 --num-classes 10 --check 10
    """
    from blockzoo.nas.ranking.latency_table import measure_latency
    from blockzoo.nas.space.costs import Skeleton

    if dry_run:
        message = f"every cell of the space and {timing.check} whole networks, about {timing.seconds:g} s"
        screen.answer(
            message,
            [
                {
                    "whole_networks": timing.check,
                    **{name: getattr(timing, name) for name in ("seconds", "width", "image_size")},
                }
            ],
            format,
        )
        return 0
    skeleton = Skeleton(timing.width, num_classes=timing.num_classes, image_size=timing.image_size)
    table, agreement = measure_latency(
        skeleton, check=timing.check, device=device, seconds=timing.seconds, seed=seed
    )
    path = table.write(output, name, agreement)
    picture = output / f"latency-{name}.png"
    agreement.plot(picture)
    json_path = agreement.save(output / f"latency-{name}.json")
    screen.answer(str(agreement), [agreement.summary()], format)
    screen.say(f"written   {path}\nnetworks  {json_path}\npicture   {picture}")
    return 0
