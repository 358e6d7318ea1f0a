"""Options that the commands of this group share, and the values they take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.cli.options import taken
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Recipe, Run

if TYPE_CHECKING:
    from blockzoo.tiling.tags import Tiling

DataDir = Annotated[Path | None, taken(Run, "data_dir", "DATA", "--data-dir")]
Arch = Annotated[
    str,
    Parameter(
        name=("--arch", "-a"),
        help="block_resnet18, ..., or any network: torchvision:NAME, timm:NAME, model:NAME; resnet18 is not cut",
    ),
]
BlockSize = Annotated[
    str | None,
    Parameter(
        help="pixels of a tile, 28 or 28,14; with --blocking hierarchical the number of tiles (default 28)"
    ),
]
Blocking = Annotated[
    str | None,
    Parameter(help="fixed (tiles of so many pixels) or hierarchical (so many tiles) (default: fixed)"),
]
Type = Annotated[int | None, Parameter(name="--type", help="the same as a number: 0 fixed, 1 hierarchical")]
PaddingMode = Annotated[
    str, Parameter(help="what stands around each tile: constant (also zeros), replicate or reflect")
]
EffectiveTrainSize = Annotated[
    str | None,
    Parameter(
        name=("--effective-train-size", "--etrs", "--limit-train"),
        help="so many training images, every class by its share, or a share of them: 0.1 is a tenth (default: all)",
    ),
]
EffectiveValidSize = Annotated[
    str | None,
    Parameter(name=("--effective-valid-size", "--evs"), help="the same of the validation images"),
]
EffectiveTestSize = Annotated[
    str | None, Parameter(name=("--effective-test-size", "--etes"), help="the same of the test images")
]
Deterministic = Annotated[
    bool,
    Parameter(
        name=("--deterministic", "--det"),
        help="what every training is: operations that give the same bits every time, where there are such",
        negative=(),
    ),
]
ValidationSplit = Annotated[
    float | None,
    Parameter(
        name=("--validation-split", "--valid-size", "--vs"),
        help="share of the training images that validates; 0: the dataset's own split (default: 0)",
    ),
]
WeightDecay = Annotated[
    float | None, taken(Recipe, "weight_decay", "--weight-decay", "--wd", default="the preset's")
]
Momentum = Annotated[float | None, taken(Recipe, "momentum", default="the preset's")]
Milestones = Annotated[
    str | None, taken(Recipe, "milestones", "--milestones", "--ms", default="the preset's, as in 30,60")
]
NumClasses = Annotated[
    int | None,
    Parameter(
        name=("--num-classes", "--out-dim"),
        help="outputs of the network (default: the dataset's, else 1000; a class of your own keeps its own default)",
    ),
]
Pretrained = Annotated[bool, Parameter(help="start from torchvision's ImageNet weights", negative=())]


def whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """`28,14` or `[28, 14]` as numbers.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.strip("[]() ").replace(" ", ",").split(",") if part)
    except ValueError:
        numbers = ()
    if not numbers:
        raise UsageError(f"{option} {text}: give whole numbers with commas between them, as in 28,14")
    return numbers


def tiling(
    arch: str, block_size: str | None, blocking: str | None, type_: int | None, padding_mode: str
) -> Tiling:
    """How a network is cut: `block_NAME` and anything with an option that says how is, any other is left whole.

    Raises:
        UsageError: values that cannot be, or contradict each other.
    """
    from blockzoo.tiling.tags import Tiling, tiling_from

    cut = any(value is not None for value in (block_size, blocking, type_))
    if not cut and not arch.rpartition(":")[2].startswith("block_"):
        if padding_mode != "constant":
            raise UsageError(
                f"--padding-mode {padding_mode}: {arch} is not cut; say how, as in --block-size 28"
            )
        return Tiling()
    if block_size is None and (blocking == "hierarchical" or type_ == 1):
        raise UsageError("--blocking hierarchical: say how many tiles, as in --block-size 4,4")
    return tiling_from(whole_numbers(block_size, "--block-size") or (28,), blocking, type_, padding_mode)


def size(text: str | None, option: str) -> int | float | None:
    """A number of images, or a share of them above 0 and up to 1; `1` is all of them, as `1.0` is.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if 0 < value <= 1:
        return value
    if value > 1 and value.is_integer():
        return int(value)
    raise UsageError(f"{option} {text}: give a number of images, or a share of them such as 0.1 for a tenth")
