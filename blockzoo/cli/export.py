"""export: the network of a block as a file for others (safetensors, ONNX, PyTorch), with a model card"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.cli.expanded import expanded
from blockzoo.core.settings import Data, Scaffold
from blockzoo.core.units import rough_size


@expanded()
def export(
    subject: o.Subject,
    *,
    position: o.Position = None,
    scaffold: Scaffold,
    format: Annotated[
        Literal["safetensors", "onnx", "torch"],
        Parameter(
            help="safetensors or torch: weights, as the network is trained; onnx: the deployed network"
        ),
    ] = "safetensors",
    output: Annotated[
        Path, Parameter(name=("--output", "--out-dir", "-o"), help="folder to write to")
    ] = Path("model"),
    weights: Annotated[
        Path | None,
        Parameter(help="file with weights of this very network (default: drawn from --seed, not trained)"),
    ] = None,
    seed: o.Seed = 0,
    dataset: Annotated[
        str | None, Parameter(help="evaluate the weights on the test images of this dataset, for the card")
    ] = None,
    data_dir: Annotated[o.DataDir, With("--dataset")] = None,
    image_size: o.ImageSize = None,
    out_dim: o.OutDim = None,
    licence: Annotated[
        Literal["apache-2.0", "mit", "cc-by-4.0", "cc0-1.0", "cc-by-sa-4.0"],
        Parameter(name=("--licence", "--license"), help="that it is published under"),
    ] = "apache-2.0",
    plugins: o.Plugins = (),
) -> int:
    """Write a network, its configuration and its card; what is written is read again and compared with the network.

    Examples:
        blockzoo export ResNetBasicBlock/mid -o model
        blockzoo export RepVGGBlock/late --format onnx --image-size 32 -o model
    """
    from blockzoo.core.errors import UsageError
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.core.subject import Subject
    from blockzoo.publish.model_files import Wanted, export_model

    if dataset is not None and weights is None:
        raise UsageError(
            f"--dataset {dataset}: weights that are not trained are not evaluated; give --weights too"
        )
    if dataset is None:
        side = image_size or 32
        parsed = Subject.parse(subject)
        parsed = parsed.placed(position)
        network, shape, evaluated = NetworkSpec(str(parsed), out_dim, **vars(scaffold)), (3, side, side), None
    else:
        from blockzoo.trials.evaluation import evaluated_on

        data = Data(dataset=dataset, image_size=image_size)
        network, shape, evaluated = evaluated_on(data, (subject, position), scaffold, str(weights), data_dir)
    wanted = Wanted(network, format, shape, None if weights is None else str(weights), seed, licence)
    for path in export_model(wanted, output, evaluated):
        screen.out.print(f"{path}: {rough_size(path.stat().st_size)}", soft_wrap=True, markup=False)
    return 0
