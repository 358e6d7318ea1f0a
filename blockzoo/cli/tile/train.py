"""train: a network on tiles, from scratch or fine-tuned, by the published recipe or your own"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.tile import _options as own
from blockzoo.core.files import write_atomically
from blockzoo.core.spec import THREADS

if TYPE_CHECKING:
    from blockzoo.tiling.experiments.training import Run


def train(
    data: own.Data = None,
    *,
    dataset: o.Dataset = None,
    arch: own.Arch = "block_resnet18",
    block_size: own.BlockSize = None,
    blocking: own.Blocking = None,
    type_: own.Type = None,
    padding_mode: own.PaddingMode = "constant",
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = None,
    lr: o.LearningRate = None,
    weight_decay: own.WeightDecay = None,
    momentum: own.Momentum = None,
    milestones: own.Milestones = None,
    resume_from: Annotated[
        Path | None, Parameter(help="checkpoint to go on from; weights alone with --reset-optimizer")
    ] = None,
    reset_optimizer: Annotated[
        bool, Parameter(help="fine-tune: take its weights only and start the schedule anew", negative=())
    ] = False,
    pretrained: own.Pretrained = False,
    effective_train_size: own.EffectiveTrainSize = None,
    effective_valid_size: own.EffectiveValidSize = None,
    effective_test_size: own.EffectiveTestSize = None,
    validation_split: own.ValidationSplit = None,
    image_size: o.ImageSize = None,
    seed: o.Seed = 0,
    do_train: Annotated[
        bool, Parameter(help="train only: the test split stays unread (default: both)", negative=())
    ] = False,
    do_eval: Annotated[
        bool, Parameter(help="read the test split at the end; alone: train nothing", negative=())
    ] = False,
    gpus: o.Gpus = None,
    device: o.Device = "auto",
    devices: o.Devices = None,
    cpu: o.Cpu = False,
    sync_batch_norm: o.SyncBatchNorm = False,
    deterministic: own.Deterministic = False,
    images: o.Images = "auto",
    workers: o.Workers = None,
    threads: o.Threads = THREADS,
    output: o.Output = Path("results"),
    save: Annotated[Path | None, Parameter(help="leave the weights in this file too")] = None,
    experiment_name: o.Name = "",
    notes: o.Notes = "",
    on_oom: o.OnOom = "fail",
    plugin: o.Plugin = None,
    dry_run: Annotated[bool, Parameter(help="check everything, train nothing", negative=())] = False,
) -> int:
    """Train one network, add its row to the results and keep its weights in the results folder.

    What is not given is the preset's: the published hyper-parameters of the network, from scratch or (with --pretrained or
    --resume-from FILE --reset-optimizer) for fine-tuning. A killed run goes on with the same command; a finished one is not
    run again.
    """
    from blockzoo.tiling.experiments.training import Recipe, starting_point, tiled_spec, train_tiled
    from blockzoo.train import load_data

    tiling = own.tiling(arch, block_size, blocking, type_, padding_mode)
    recipe = Recipe(
        epochs, batch_size, lr, weight_decay, momentum, own.whole_numbers(milestones, "--milestones"),
        own.size(effective_train_size, "--effective-train-size"), validation_split or None,
        own.size(effective_valid_size, "--effective-valid-size"), own.size(effective_test_size, "--effective-test-size"),
    )  # fmt: skip
    o.check_workers(workers)
    place, count = o.placed(device, devices, gpus, cpu)
    if do_eval and not do_train:
        from blockzoo.cli.tile.eval import evaluated

        return evaluated(
            data, dataset, arch, tiling, recipe, "test", resume_from=resume_from, pretrained=pretrained,
            image_size=image_size, images=images, device=place, devices=count, workers=workers, threads=threads,
            output=output,
            story={"experiment_name": experiment_name, "notes": notes}, plugins=plugin or (),
        )  # fmt: skip
    start = starting_point(arch, resume_from, reset_optimizer=reset_optimizer, pretrained=pretrained)
    kept = load_data(dataset, data, image_size, images=images)
    spec, preset = tiled_spec(
        arch, tiling, kept, recipe, start=start, seed=seed, image_size=image_size, devices=count,
        sync_batch_norm=sync_batch_norm, threads=threads,
    )  # fmt: skip
    falls = f"milestones {','.join(map(str, spec.milestones))}" if spec.milestones else "cosine"
    screen.out.print(
        f"{spec.network.subject} on {spec.dataset}: {spec.epochs} epochs, batch {spec.batch_size}, lr {spec.lr:g}, "
        f"decay {spec.weight_decay:g}, {falls}, seed {spec.seed} (preset: {preset.name}; {spec.protocol})"
        + (f", on {spec.devices} devices" if spec.devices > 1 else "")
        + (", images read from their files" if spec.images == "stream" else ""),
        soft_wrap=True,
    )
    if dry_run:
        return 0
    done = train_tiled(
        spec,
        preset,
        data_dir=data,
        device=place,
        workers=workers,
        output=output,
        experiment_name=experiment_name,
        notes=notes,
        on_oom=on_oom,
        plugins=plugin or (),
        read_test=do_eval or not do_train,
        on_epoch=_print_epoch,
    )
    if save is not None and done.record.status == "ok":
        write_atomically(save, lambda temporary: shutil.copyfile(done.weights, temporary))
    return _print(done, save)


def _print(done: Run, save: Path | None) -> int:
    values = done.record.values
    if done.record.status != "ok":
        screen.out.print(f"{done.record.status}: {done.record.reason}", markup=False)
        return 1
    if not done.anew:
        screen.out.print("this run is in the store already; nothing was trained")
    tested = f"test accuracy {values['test_acc']:.4f}, " if "test_acc" in values else ""
    screen.out.print(f"{tested}validation {values['val_acc']:.4f}, {values['training_time']:.1f} s")
    screen.out.print(f"row       {done.csv}\nweights   {save or done.weights}", soft_wrap=True)
    return 0


def _print_epoch(epoch: int, values: dict[str, float]) -> None:
    screen.out.print(
        f"epoch {epoch:3}  train loss {values['train_loss']:.4f}  "
        f"val loss {values['val_loss']:.4f}  val accuracy {values['val_acc']:.4f}  {values['seconds']:.1f} s"
    )
