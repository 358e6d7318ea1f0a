"""Options that several commands share: one spelling, one sentence, one place."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import Parameter
from cyclopts.validators import Number

from blockzoo.cli.conditions import With
from blockzoo.core.checked import settings_of
from blockzoo.core.settings import Data, Run, Seeded

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


def taken(kind: type, name: str, *names: str, default: str = "") -> Parameter:
    """One setting as an option of a command that does not take the others: its sentence, its spellings and its range.

    Args:
        kind: the dataclass that it is a field of.
        name: of the field.
        names: other spellings, in place of its own.
        default: what decides where nothing is said, in place of what the sentence has in brackets.
    """
    field = settings_of(kind)[name]
    sentence, own = str(field.metadata["sentence"]), "--" + name.replace("_", "-")
    if default:
        sentence = f"{sentence.partition(' (default')[0]} (default: {default})"
    limits = _limits(get_type_hints(kind, include_extras=True)[name])
    return Parameter(
        name=names or (own, *field.metadata["names"]),
        help=sentence,
        negative=(),
        validator=Number(**limits) if limits else (),
    )


def _limits(hint: Any) -> dict[str, Any]:
    """The range of a number, from its type, as validators name its ends."""
    ends = {Ge: ("gte", "ge"), Gt: ("gt", "gt"), Le: ("lte", "le"), Lt: ("lt", "lt")}
    of_own = {
        ends[type(limit)][0]: getattr(limit, ends[type(limit)][1])
        for limit in getattr(hint, "__metadata__", ())
        if type(limit) in ends
    }
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    return of_own or next((limits for part in parts if (limits := _limits(part))), {})


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
Seed = Annotated[int, taken(Seeded, "seed")]
Dataset = Annotated[str | None, taken(Data, "dataset")]
DataDir = Annotated[Path | None, taken(Run, "data_dir")]
ImageSize = Annotated[int | None, taken(Data, "image_size")]
LimitTrain = Annotated[int | None, taken(Data, "limit_train")]
Plots = Annotated[bool, Parameter(negative="--no-plots", help="draw the pictures afterwards")]
PlanOnly = Annotated[bool, Parameter(name="--dry-run", help="print the plan, train nothing", negative=())]
OtherWorkers = Annotated[
    int | None, Parameter(name="--workers", help="trials at a time (default: as it was started)")
]
OtherAddress = Annotated[
    str | None,
    Parameter(name="--address", help="of the Ray cluster, named again where it was started on one"),
]
Output = Annotated[Path, taken(Run, "output")]
EqualWithin = Annotated[
    float, Parameter(help="percentage points that count as equal", validator=Number(gt=0, lte=100))
]
OutputFile = Annotated[
    Path | None,
    _option("--output", "--out-dir", "-o", help="also write to this file; .csv or .json by its name"),
]
Plugins = Annotated[tuple[str, ...], taken(Run, "plugins", "--plugin")]
Strict = Annotated[bool, taken(Run, "strict")]
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
