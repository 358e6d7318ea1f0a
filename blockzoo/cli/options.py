"""Options that several commands share: one spelling, one sentence, one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from blockzoo.cli.conditions import With

PICTURES = ("png", "svg", "pdf", "jpg", "webp")
"""Suffixes of pictures, in whatever case."""


def _option(*names: str, help: str, many: bool = False, least: int | None = None) -> Parameter:
    return Parameter(
        name=names,
        help=help,
        consume_multiple=many,
        negative=(),
        validator=() if least is None else Number(gte=least),
    )


at_least_one = Number(gte=1)


def check_picture(kind: type, path: Path | None) -> None:
    """For cyclopts: a picture is named as one, which is known before the work is done."""
    if path is not None and path.suffix[1:].lower() not in PICTURES:
        raise ValueError(f"{path}: end the name of a picture in .{', .'.join(PICTURES)}")


Subject = Annotated[
    str,
    Parameter(
        help="a block (ResNetBasicBlock), NAME@variant, my_file.py:MyBlock, or a network (timm:resnet18)"
    ),
]
Position = Annotated[
    str | None, _option("--position", help="stage that holds the block: early, mid or late (default mid)")
]
OutDim = Annotated[
    int | None,
    _option(
        "--out-dim",
        "--num-classes",
        help="number of classes (default 10; a class of your own keeps its own default)",
    ),
]
InputShape = Annotated[tuple[int, int, int, int] | None, _option("--input-shape", help="B C H W")]
Device = Annotated[str, _option("--device", help="cpu, cuda or auto")]
Devices = Annotated[
    int | None,
    _option(
        "--devices",
        help="train one network on so many GPUs, or processes with --device cpu; the batch size is that of all",
    ),
]
Gpus = Annotated[
    str | None,
    _option("--gpus", help="which GPUs, by number: 0 or 0,1,2,3 (default: one where there is one)"),
]
Cpu = Annotated[bool, _option("--cpu", help="the processor, whatever --gpus says")]
Workers = Annotated[
    int | None,
    _option(
        "--workers",
        "-j",
        help="processes that read images, where these are streamed, 0 for none (default: one per core)",
    ),
]
Threads = Annotated[
    int,
    _option(
        "--threads",
        help="processor threads of each training; part of the request, for other numbers of them round otherwise",
        least=1,
    ),
]
Seed = Annotated[int, _option("--seed", help="drives initialisation, order and augmentation", least=0)]
Dataset = Annotated[
    str | None,
    _option(
        "--dataset",
        help="a dataset of `blockzoo datasets` (default cifar10, or digits where it cannot be had)",
    ),
]
DataDir = Annotated[
    Path | None, _option("--data-dir", help="folder with the datasets (default: BLOCKZOO_DATA, then ./data)")
]
ImageSize = Annotated[
    int | None,
    _option("--image-size", help="side length the images are resized to (default: their own)", least=1),
]
LimitTrain = Annotated[
    int | None, _option("--limit-train", help="train on only N images, every class by its share")
]
Plots = Annotated[bool, Parameter(negative="--no-plots", help="draw the pictures afterwards")]
PlanOnly = Annotated[bool, Parameter(name="--dry-run", help="print the plan, train nothing", negative=())]
OtherWorkers = Annotated[
    int | None, Parameter(name="--workers", help="trials at a time (default: as it was started)")
]
OtherAddress = Annotated[
    str | None,
    Parameter(name="--address", help="of the Ray cluster, named again where it was started on one"),
]
Output = Annotated[
    Path, _option("--output", "--out-dir", "-o", help="results folder, or the path of the CSV")
]
EqualWithin = Annotated[
    float, Parameter(help="percentage points that count as equal", validator=Number(gt=0, lte=100))
]
OutputFile = Annotated[
    Path | None,
    _option("--output", "--out-dir", "-o", help="also write to this file; .csv or .json by its name"),
]
Plugins = Annotated[
    tuple[str, ...],
    _option(
        "--plugin",
        help="a .py file or module of your own: blocks, datasets, engines, searches (may be repeated)",
    ),
]
Strict = Annotated[
    bool,
    _option("--strict", help="refuse where something could not be counted or timed, instead of saying so"),
]
By = Annotated[
    Literal["operation"] | None,
    _option(
        "--by", help="where it goes: operation, one by one and by kind (convolutions, norms, copies, ...)"
    ),
]
Part = Annotated[
    Literal["stage", "network"] | None,
    _option("--part", help="of what (default: the stage under test where there is one)"),
    With("--by"),
]
Figure = Annotated[
    Path | None, Parameter(help="picture of the roofline", validator=check_picture), With("--by")
]
Format = Annotated[
    Literal["table", "json", "csv", "markdown", "latex"],
    _option(
        "--format", help="what to print: a table that fits the terminal, or all of it for programs and papers"
    ),
]


def placed(device: str, devices: int | None, gpus: str | None, cpu: bool) -> tuple[str, int]:
    """The device that the options name together, and how many; this process sees no other GPUs from now on.

    Raises:
        UsageError: see `chosen_gpus`.
    """
    from blockzoo.core.devices import chosen_gpus, use_only
    from blockzoo.execution.queue import gpus as visible_gpus

    device, count, chosen = chosen_gpus(device, devices, gpus, cpu=cpu, present=visible_gpus("auto"))
    use_only(chosen)
    return device, count


def check_workers(workers: int | None) -> None:
    """There is a number of them, 0 where the training reads its images itself.

    Raises:
        UsageError: a negative one.
    """
    if workers is not None and workers < 0:
        from blockzoo.core.errors import UsageError

        raise UsageError(f"--workers {workers}: give 1 or more, or 0 to read in the training process")
