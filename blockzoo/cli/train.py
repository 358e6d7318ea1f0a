"""train: what a block learns, on real images, as a row of the results table"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.errors import RequestError
from blockzoo.core.spec import THREADS


def train(
    subject: o.Subject,
    *,
    position: o.Position = None,
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    protocol: o.Protocol = "fast-v1",
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = None,
    lr: o.LearningRate = None,
    seed: o.Seed = 0,
    num_blocks: o.NumBlocks = 3,
    base_channels: o.BaseChannels = 64,
    filler: o.Filler = None,
    active_blocks: o.ActiveBlocks = None,
    active_width: o.ActiveWidth = 1.0,
    image_size: o.ImageSize = None,
    limit_train: o.LimitTrain = None,
    input_shape: o.InputShape = None,
    device: o.Device = "auto",
    devices: o.Devices = None,
    gpus: o.Gpus = None,
    cpu: o.Cpu = False,
    sync_batch_norm: o.SyncBatchNorm = False,
    images: o.Images = "auto",
    workers: o.Workers = None,
    threads: o.Threads = THREADS,
    output: o.Output = Path("results"),
    experiment_name: o.Name = "",
    notes: o.Notes = "",
    resume: Annotated[
        bool, Parameter(help="go on from the last epoch of the same trial", negative=())
    ] = False,
    on_oom: o.OnOom = "fail",
    latency: o.Latency = True,
    strict: o.Strict = False,
    plugin: o.Plugin = None,
    dry_run: Annotated[bool, Parameter(help="check everything, train nothing", negative=())] = False,
) -> int:
    """Train one network, add its row to the results and export the table as CSV.

    --input-shape B C H W sets batch size and image size at once; C must be the dataset's.
    """
    o.check_workers(workers)
    device, count = o.placed(device, devices, gpus, cpu)
    if input_shape is not None:
        batch, _, height, width = input_shape
        if height != width:
            raise RequestError(
                f"--input-shape {input_shape}: the images of the datasets are square, give H = W"
            )
        batch_size, image_size = batch_size or batch, image_size or height
    scaffold: dict[str, Any] = {
        "num_blocks": num_blocks,
        "base_channels": base_channels,
        "filler": filler,
        "active_blocks": active_blocks,
        "active_width": active_width,
    }
    recipe: dict[str, Any] = {
        "protocol": protocol,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "seed": seed,
        "image_size": image_size,
        "limit_train": limit_train,
        "devices": count,
        "sync_batch_norm": sync_batch_norm,
        "threads": threads,
    }
    if dry_run or input_shape is not None:
        from blockzoo.train import load_data, trial_spec

        data = load_data(dataset, data_dir, image_size, images=images)
        if input_shape is not None and input_shape[1] != data.shape[0]:
            raise RequestError(f"--input-shape {input_shape}: {data.name} has {data.shape[0]} channels")
        spec = trial_spec(subject, position, data, scaffold=scaffold, **recipe)
        if dry_run:
            screen.out.print(
                f"would train {spec.network.subject} on {spec.dataset} for {spec.epochs} epochs, "
                f"batch {spec.batch_size}, lr {spec.lr:g}, seed {spec.seed} ({spec.protocol})"
                + (f", on {spec.devices} devices" if spec.devices > 1 else "")
            )
            return 0
    from blockzoo.train import train_block

    screen.threads_used(threads * count, device)
    done = train_block(
        subject,
        position,
        dataset=dataset,
        data_dir=data_dir,
        device=device,
        images=images,
        workers=workers,
        plugins=plugin or (),
        output=output,
        experiment_name=experiment_name,
        notes=notes,
        resume=resume,
        on_oom=on_oom,
        latency=latency,
        strict=strict,
        on_epoch=_print_epoch,
        **recipe,
        **scaffold,
    )
    row = done.row
    if row["status"] != "ok":
        screen.out.print(f"{row['block']}/{row['position']}: {row['status']}: {row['reason']}", markup=False)
    else:
        screen.out.print(
            f"{row['block']}{'/' + row['position'] if row['position'] else ''} on {row['dataset']}: "
            f"test accuracy {row['test_acc']:.4f}, validation {row['val_acc']:.4f}, "
            f"{row['training_time']:.1f} s, {screen.number(row['macs'])} MACs"
        )
    screen.out.print(f"row written to {done.csv}", soft_wrap=True)
    return 0 if row["status"] == "ok" else 1


def _print_epoch(epoch: int, values: dict[str, float]) -> None:
    screen.out.print(
        f"epoch {epoch:3}  train loss {values['train_loss']:.4f}  "
        f"val loss {values['val_loss']:.4f}  val accuracy {values['val_acc']:.4f}  {values['seconds']:.1f} s"
    )
