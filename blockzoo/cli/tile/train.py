"""train: a network on tiles, from scratch or fine-tuned, by the published recipe or your own"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core.checked import together
from blockzoo.core.files import write_atomically
from blockzoo.core.settings import Data, Recipe, Run, Seeded

if TYPE_CHECKING:
    from blockzoo.tiling.experiments.training import TiledRun


@expanded(
    "protocol", "data_dir", "limit_train", "limit_val", "limit_test", "validation_share", "latency", "strict"
)
def train(
    data_dir: own.DataDir = None,
    *,
    arch: own.Arch = "block_resnet18",
    block_size: own.BlockSize = None,
    blocking: own.Blocking = None,
    type_: own.Type = None,
    padding_mode: own.PaddingMode = "constant",
    recipe: Recipe,
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
    data: Data,
    effective_train_size: own.EffectiveTrainSize = None,
    effective_valid_size: own.EffectiveValidSize = None,
    effective_test_size: own.EffectiveTestSize = None,
    validation_split: own.ValidationSplit = None,
    seeded: Seeded,
    do_train: Annotated[
        bool, Parameter(help="train only: the test split stays unread (default: both)", negative=())
    ] = False,
    do_eval: Annotated[
        bool, Parameter(help="read the test split at the end; alone: train nothing", negative=())
    ] = False,
    gpus: o.Gpus = None,
    devices: o.Devices = None,
    cpu: o.Cpu = False,
    deterministic: own.Deterministic = False,
    workers: o.Workers = None,
    run: Run,
    save: Annotated[Path | None, Parameter(help="leave the weights in this file too")] = None,
    dry_run: Annotated[bool, Parameter(help="check everything, train nothing", negative=())] = False,
    format: o.Format = "table",
) -> int:
    """Train one network, add its row to the results and keep its weights in the results folder.

    What is not given is the preset's: the published hyper-parameters of the network, from scratch or (with --pretrained or
    --resume-from FILE --reset-optimizer) for fine-tuning. A killed run goes on with the same command; a finished one is not
    run again.

    Examples:
        blockzoo tile train --arch model:resnet8_half --block-size 8 --dataset digits --epochs 2
        blockzoo tile train --arch block_resnet18 --pretrained --dataset imagenet --gpus 0,1
    """
    from blockzoo.tiling.experiments.training import TiledRecipe, starting_point, tiled_spec, train_tiled
    from blockzoo.trials.request import images_of

    tiling = own.tiling(arch, block_size, blocking, type_, padding_mode)
    o.check_workers(workers)
    device, count = o.placed(run.device, devices, gpus, cpu)
    run = replace(run, device=device, data_dir=data_dir)
    overrides = {
        "devices": count,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "milestones": own.whole_numbers(milestones, "--milestones"),
        "effective_train_size": own.size(effective_train_size, "--effective-train-size"),
        "effective_valid_size": own.size(effective_valid_size, "--effective-valid-size"),
        "effective_test_size": own.size(effective_test_size, "--effective-test-size"),
        "validation_share": validation_split or None,
    }
    tiled_recipe = TiledRecipe(**{**vars(recipe), **overrides})
    if do_eval and not do_train:
        from blockzoo.cli.tile.eval import evaluated, print_evaluation, weights_to_evaluate

        start = weights_to_evaluate(arch, resume_from, pretrained)
        record = evaluated(arch, tiling, tiled_recipe, data, start, "test", run, workers)
        return print_evaluation(record, "test", format)
    start = starting_point(arch, resume_from, reset_optimizer=reset_optimizer, pretrained=pretrained)
    spec, preset = tiled_spec(
        arch,
        tiling,
        images_of(data, data_dir),
        tiled_recipe,
        start=start,
        seed=seeded.seed,
        image_size=data.image_size,
    )
    falls = f"milestones {','.join(map(str, spec.milestones))}" if spec.milestones else "cosine"
    summary = (
        f"{spec.network.subject} on {spec.dataset}: {spec.epochs} epochs, batch {spec.batch_size}, lr {spec.lr:g}, "
        f"decay {spec.weight_decay:g}, {falls}, seed {spec.seed} (preset: {preset.name}; {spec.protocol})"
        + (f", on {spec.devices} devices" if spec.devices > 1 else "")
        + (", images read from their files" if spec.images == "stream" else "")
    )
    if dry_run:
        screen.answer(summary, [spec.planned()], format)
        return 0
    screen.say(summary)
    done = train_tiled(
        spec,
        preset,
        workers=workers,
        read_test=do_eval or not do_train,
        on_epoch=_print_epoch,
        **together(run),
    )
    if save is not None and done.record.status == "ok":
        write_atomically(save, lambda temporary: shutil.copyfile(done.weights, temporary))
    return _print(done, save, format)


def _print(done: TiledRun, save: Path | None, format: str) -> int:
    values = done.record.values
    if done.record.status != "ok":
        screen.out.print(f"{done.record.status}: {done.record.reason}", markup=False)
        return 1
    if not done.anew:
        screen.out.print("this run is in the store already; nothing was trained")
    tested = f"test accuracy {values['test_acc']:.4f}, " if "test_acc" in values else ""
    row = {"subject": done.record.subject, "status": done.record.status, **values}
    screen.answer(
        f"{tested}validation {values['val_acc']:.4f}, {values['training_time']:.1f} s", [row], format
    )
    screen.say(f"row       {done.csv}\nweights   {save or done.weights}")
    return 0


def _print_epoch(epoch: int, values: dict[str, float]) -> None:
    screen.out.print(
        f"epoch {epoch:3}  train loss {values['train_loss']:.4f}  "
        f"val loss {values['val_loss']:.4f}  val accuracy {values['val_acc']:.4f}  {values['seconds']:.1f} s"
    )
