"""eval: what saved weights come to on the validation or the test split, on tiles or whole"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.tile import _options as own
from blockzoo.core.errors import RequestError
from blockzoo.core.spec import THREADS

if TYPE_CHECKING:
    from blockzoo.tiling.experiments.training import Recipe
    from blockzoo.tiling.tags import Tiling


def eval(
    data: own.Data = None,
    *,
    dataset: o.Dataset = None,
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
    batch_size: o.BatchSize = None,
    image_size: o.ImageSize = None,
    validation_split: own.ValidationSplit = None,
    effective_valid_size: own.EffectiveValidSize = None,
    effective_test_size: own.EffectiveTestSize = None,
    gpus: o.Gpus = None,
    device: o.Device = "auto",
    devices: o.Devices = None,
    cpu: o.Cpu = False,
    deterministic: own.Deterministic = False,
    images: o.Images = "auto",
    workers: o.Workers = None,
    threads: o.Threads = THREADS,
    output: o.Output = Path("results"),
    experiment_name: o.Name = "",
    notes: o.Notes = "",
    plugin: o.Plugin = None,
) -> int:
    """Print the accuracy and the loss of weights, and keep them as a record in the results store.

    The weights of a network that is not cut fit the same network on tiles: the names are the same.
    """
    from blockzoo.tiling.experiments.training import Recipe

    tiling = own.tiling(arch, block_size, blocking, type_, padding_mode)
    recipe = Recipe(
        batch_size=batch_size,
        validation_share=validation_split or None,
        effective_valid_size=own.size(effective_valid_size, "--effective-valid-size"),
        effective_test_size=own.size(effective_test_size, "--effective-test-size"),
    )
    o.check_workers(workers)
    place, count = o.placed(device, devices, gpus, cpu)
    return evaluated(
        data, dataset, arch, tiling, recipe, split, resume_from=resume_from, pretrained=pretrained,
        image_size=image_size, images=images, device=place, devices=count, workers=workers,
        threads=threads, output=output,
        story={"experiment_name": experiment_name, "notes": notes}, plugins=plugin or (),
    )  # fmt: skip


def evaluated(
    data: Path | None,
    dataset: str | None,
    arch: str,
    tiling: Tiling,
    recipe: Recipe,
    split: str,
    *,
    resume_from: Path | None,
    pretrained: bool,
    image_size: int | None,
    device: str,
    devices: int,
    images: str,
    workers: int | None,
    threads: int,
    output: Path,
    story: dict[str, str],
    plugins: Sequence[str],
) -> int:
    """Evaluate and print."""
    from blockzoo.tiling.experiments.training import evaluate_tiled, starting_point, tiled_spec
    from blockzoo.train import load_data

    if resume_from is None and not pretrained:
        raise RequestError(
            "there is nothing to evaluate: name weights with --resume-from FILE, or use --pretrained"
        )
    start = starting_point(arch, resume_from, reset_optimizer=not pretrained, pretrained=pretrained)
    kept = load_data(dataset, data, image_size, images=images)
    spec, _ = tiled_spec(
        arch, tiling, kept, recipe, start=start, image_size=image_size, devices=devices, threads=threads
    )
    record = evaluate_tiled(
        spec, split=split, data_dir=data, device=device, plugins=plugins, workers=workers,
        output=output, **story,
    )  # fmt: skip
    values = record.values
    screen.out.print(
        f"{record.subject} on {values['images']:,} {'validation' if split == 'val' else 'test'} images of {spec.dataset}: "
        f"accuracy {values[f'{split}_acc']:.4f}, among the first five {values[f'{split}_top5']:.4f}, "
        f"loss {values[f'{split}_loss']:.4f}; weights: {values['weights']}",
        soft_wrap=True,
    )
    return 0
