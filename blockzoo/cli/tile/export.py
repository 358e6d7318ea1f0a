"""export: a network as an ONNX file, layer by layer or fused in tiles, of floats or int8"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core.checked import together
from blockzoo.tiling.onnx.options import Quantising
from blockzoo.tiling.planning.options import Cutting

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.deployment import Deployed


@expanded()
def export(
    subject: Annotated[
        str,
        Parameter(
            help="block_resnet18, ..., or any network: torchvision:NAME, timm:NAME, model:NAME; resnet18 is not cut"
        ),
    ],
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="the file to write, NETWORK.onnx")],
    cutting: Cutting,
    dtype: Annotated[
        Literal["fp32", "int8"], Parameter(help="of the file; int8 is calibrated on --dataset")
    ] = "fp32",
    weights: Annotated[
        Path | None, Parameter(help="checkpoint with the weights (default: drawn at random, and said so)")
    ] = None,
    pretrained: Annotated[
        bool, Parameter(help="the file holds torchvision's ImageNet weights", negative=())
    ] = False,
    num_classes: own.NumClasses = None,
    dataset: o.Dataset = None,
    data_dir: Annotated[o.DataDir, With("--dataset")] = None,
    image_size: o.ImageSize = None,
    block_size: own.BlockSize = None,
    blocking: own.Blocking = None,
    type_: own.Type = None,
    padding_mode: own.PaddingMode = "constant",
    quantising: Quantising,
    evaluate: Annotated[
        bool, Parameter(help="accuracy of the file and of the float32 network", negative=())
    ] = False,
    split: Annotated[
        Literal["val", "test"],
        Parameter(help="read test once, when all choices are made"),
        With("--evaluate"),
    ] = "val",
    overwrite: Annotated[bool, Parameter(help="replace the file if it exists", negative=())] = False,
    strict: Annotated[
        bool,
        Parameter(
            help="refuse a file that makes something else of NaN and infinities than the network", negative=()
        ),
    ] = False,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Write an ONNX file, and print its peak memory in ONNX Runtime and how far it is from what it should compute.

    A fused file holds a stage's layers once for each tile, with slices before and concatenations behind; weights are shared.

    Examples:
        blockzoo tile export model:resnet8_half --image-size 64 --output network.onnx
        blockzoo tile export block_resnet18 --pretrained --dtype int8 --dataset imagenet -o resnet18.onnx
    """
    from blockzoo.tiling.onnx.deployment import Deployment, export_subject
    from blockzoo.tiling.onnx.files import free
    from blockzoo.tiling.onnx.fuse import Fusing
    from blockzoo.trials.request import load_data

    free(output, overwrite)
    tiling = own.tiling(subject, block_size, blocking, type_, padding_mode)
    in_tiles = cutting != Cutting()
    fusing = Fusing(**together(cutting)) if in_tiles else None
    deployment = Deployment(
        subject,
        tiling=tiling,
        weights=weights,
        pretrained=pretrained,
        num_classes=num_classes,
        data=load_data(dataset, data_dir, image_size) if dataset else None,
        image_size=image_size,
        quantising=quantising if dtype == "int8" else None,
        evaluate=split if evaluate else "",
    )
    deployed = export_subject(deployment, output, fusing=fusing, overwrite=overwrite, strict=strict)
    lines = [str(deployed.report), f"weights: {deployed.weights}"]
    lines += [str(deployed.accuracies)] if deployed.accuracies is not None else []
    screen.answer("\n".join(lines), [_row(deployed)], format)
    return 0


def _row(made: Deployed) -> dict[str, Any]:
    """The report's figures, flat."""
    figures = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in vars(made.report).items()
        if isinstance(value, (str, int, float, Path)) or value is None
    }
    accuracies = (
        {} if made.accuracies is None else {f"accuracy_{k}": v for k, v in vars(made.accuracies).items()}
    )
    return {
        **figures,
        "weights": made.weights,
        **{k: v for k, v in accuracies.items() if not isinstance(v, dict)},
    }
