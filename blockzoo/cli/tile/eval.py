"""eval: what saved weights come to on the validation or the test split, on tiles or whole"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core.checked import together
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Data, Recipe, Run

if TYPE_CHECKING:
    from blockzoo.core.record import Record
    from blockzoo.tiling.experiments.training import Start, TiledRecipe
    from blockzoo.tiling.tags import Tiling


@expanded(
    "protocol", "epochs", "lr", "weight_decay", "momentum", "milestones", "sync_batch_norm", "warmup_share",
    "ema_decay", "initial_scale", "muon_lr",
    "data_dir", "limit_train", "limit_val", "limit_test", "validation_share", "on_oom", "latency", "strict",
)  # fmt: skip
def eval(
    data_dir: own.DataDir = None,
    *,
    arch: own.Arch = "block_resnet18",
    block_size: own.BlockSize = None,
    blocking: own.Blocking = None,
    type_: own.Type = None,
    padding_mode: own.PaddingMode = "constant",
    resume_from: Annotated[Path | None, Parameter(help="checkpoint with the weights")] = None,
    pretrained: own.Pretrained = False,
    split: Annotated[
        Literal["val", "test"], Parameter(help="read test once, when all choices are made")
    ] = "val",
    recipe: Recipe,
    data: Data,
    validation_split: own.ValidationSplit = None,
    effective_valid_size: own.EffectiveValidSize = None,
    effective_test_size: own.EffectiveTestSize = None,
    gpus: o.Gpus = None,
    devices: o.Devices = None,
    cpu: o.Cpu = False,
    deterministic: own.Deterministic = False,
    workers: o.Workers = None,
    run: Run,
    format: o.Format = "table",
) -> int:
    """Print the accuracy and the loss of weights, and keep them as a record in the results store.

    The weights of a network that is not cut fit the same network on tiles: the names are the same.

    Examples:
        blockzoo tile eval --arch resnet18 --pretrained --dataset imagenet
        blockzoo tile eval --arch block_resnet18 --resume-from weights.pt --split test
    """
    from blockzoo.tiling.experiments.training import TiledRecipe

    tiling = own.tiling(arch, block_size, blocking, type_, padding_mode)
    o.check_workers(workers)
    device, count = o.placed(run.device, devices, gpus, cpu)
    sizes = {
        "devices": count,
        "validation_share": validation_split or None,
        "effective_valid_size": own.size(effective_valid_size, "--effective-valid-size"),
        "effective_test_size": own.size(effective_test_size, "--effective-test-size"),
    }
    tiled_recipe = TiledRecipe(**{**vars(recipe), **sizes})
    start = weights_to_evaluate(arch, resume_from, pretrained)
    run = replace(run, device=device, data_dir=data_dir)
    return print_evaluation(
        evaluated(arch, tiling, tiled_recipe, data, start, split, run, workers), split, format
    )


def weights_to_evaluate(arch: str, resume_from: Path | None, pretrained: bool) -> Start | None:
    """Those that the options name.

    Raises:
        UsageError: none, or they cannot be read.
    """
    from blockzoo.tiling.experiments.training import starting_point

    if resume_from is None and not pretrained:
        raise UsageError(
            "there is nothing to evaluate: name weights with --resume-from FILE, or use --pretrained"
        )
    return starting_point(arch, resume_from, reset_optimizer=not pretrained, pretrained=pretrained)


def evaluated(
    arch: str,
    tiling: Tiling,
    recipe: TiledRecipe,
    data: Data,
    start: Start | None,
    split: str,
    run: Run,
    workers: int | None,
) -> Record:
    """What came of an evaluation."""
    from blockzoo.tiling.experiments.training import evaluate_tiled, tiled_spec
    from blockzoo.trials.request import images_of

    images = images_of(data, run.data_dir)
    spec, _ = tiled_spec(arch, tiling, images, recipe, start=start, image_size=data.image_size)
    return evaluate_tiled(spec, split=split, workers=workers, **together(run))


def print_evaluation(record: Record, split: str, format: str) -> int:
    """Accuracy and loss, and whose."""
    values = record.values
    summary = (
        f"{record.subject} on {values['images']:,} {'validation' if split == 'val' else 'test'} images of "
        f"{record.spec['dataset']}: accuracy {values[f'{split}_acc']:.4f}, top-5 accuracy {values[f'{split}_top5']:.4f}, "
        f"loss {values[f'{split}_loss']:.4f}; weights: {values['weights']}"
    )
    screen.answer(summary, [{"subject": record.subject, **values}], format)
    return 0
