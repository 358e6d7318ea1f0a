"""train: what a block learns, on real images, as a row of the results table"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import units
from blockzoo.core.checked import together
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Data, Recipe, Run, Scaffold, Seeded


@expanded()
def train(
    subject: o.Subject,
    *,
    position: o.Position = None,
    scaffold: Scaffold,
    recipe: Recipe,
    data: Data,
    seeded: Seeded,
    run: Run,
    input_shape: o.InputShape = None,
    devices: o.Devices = None,
    gpus: o.Gpus = None,
    cpu: o.Cpu = False,
    workers: o.Workers = None,
    resume: Annotated[
        bool, Parameter(help="go on from the last epoch of the same trial", negative=())
    ] = False,
    dry_run: Annotated[bool, Parameter(help="check everything, train nothing", negative=())] = False,
    format: o.Format = "table",
) -> int:
    """Train one network, add its row to the results and export the table as CSV.

    --input-shape B C H W sets batch size and image size at once; C must be the dataset's.

    Examples:
        blockzoo train ResNetBasicBlock/mid --dataset digits --epochs 2
        blockzoo train my_file.py:MyBlock --position late --epochs 10 --lr 0.1 --seed 3
    """
    o.check_workers(workers)
    device, count = o.placed(run.device, devices, gpus, cpu)
    recipe, run = replace(recipe, devices=count), replace(run, device=device)
    if input_shape is not None:
        batch, _, height, width = input_shape
        if height != width:
            raise UsageError(
                f"--input-shape {input_shape}: the images of the datasets are square, give H = W"
            )
        recipe = replace(recipe, batch_size=recipe.batch_size or batch)
        data = replace(data, image_size=data.image_size or height)
    if dry_run or input_shape is not None:
        from blockzoo.trials.request import images_of, network_spec, trial_spec

        images = images_of(data, run.data_dir)
        if input_shape is not None and input_shape[1] != images.shape[0]:
            raise UsageError(f"--input-shape {input_shape}: {images.name} has {images.shape[0]} channels")
        network = network_spec(subject, position, images, scaffold)
        spec = trial_spec(network, images, recipe, data, seeded.seed)
        if dry_run:
            message = (
                f"would train {spec.network.subject} on {spec.dataset} for {spec.epochs} epochs, "
                f"batch {spec.batch_size}, lr {spec.lr:g}, seed {spec.seed} ({spec.protocol})"
                + (f", on {spec.devices} devices" if spec.devices > 1 else "")
            )
            screen.answer(message, [spec.planned()], format)
            return 0
    from blockzoo.train import train_block

    screen.threads_used(recipe.threads * count, device)
    done = train_block(
        subject,
        position,
        workers=workers,
        resume=resume,
        on_epoch=_print_epoch,
        **together(scaffold, recipe, data, seeded, run),
    )
    row = done.row
    if row["status"] != "ok":
        summary = f"{row['block']}/{row['position']}: {row['status']}: {row['reason']}"
    else:
        summary = (
            f"{row['block']}{'/' + row['position'] if row['position'] else ''} on {row['dataset']}: "
            f"test accuracy {row['test_acc']:.4f}, validation {row['val_acc']:.4f}, "
            f"{row['training_time']:.1f} s, {units.number(row['macs'])} MACs"
        )
    screen.answer(summary, [row], format)
    screen.say(f"row written to {done.csv}")
    return 0 if row["status"] == "ok" else 1


def _print_epoch(epoch: int, values: dict[str, float]) -> None:
    screen.out.print(
        f"epoch {epoch:3}  train loss {values['train_loss']:.4f}  "
        f"val loss {values['val_loss']:.4f}  val accuracy {values['val_acc']:.4f}  {values['seconds']:.1f} s"
    )
