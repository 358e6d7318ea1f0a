"""plan: which parts of a network to run in how many tiles, within a memory budget"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core import units
from blockzoo.core.checked import settings_of, together
from blockzoo.tiling.planning.options import Cutting, Planning

AS_A_FILE = (
    "Counted as this package runs it. A file of `tile export` joins its tiles and needs more: the same command with "
    "--target onnx plans that, and the export keeps to it."
)


@expanded()
def plan(
    subject: Annotated[
        str,
        Parameter(
            help="block_resnet18, ..., or any network: torchvision:NAME, timm:NAME, model:NAME; resnet18 is not cut"
        ),
    ],
    *,
    image_size: Annotated[
        int, Parameter(help="rows and columns of the images", validator=o.at_least_one)
    ] = 224,
    planning: Planning,
    buffer: Annotated[
        str | None, Parameter(help="on-chip memory, 1MiB: state the bytes that go beyond it")
    ] = None,
    pareto: Annotated[bool, Parameter(help="all Pareto-optimal plans", negative=())] = False,
    results: Annotated[
        Path | None, Parameter(help="lines of `tile study` (CSV): its settings with memory beside accuracy")
    ] = None,
    figure: Annotated[
        Path | None,
        Parameter(help="picture of memory over the layers, before and after", validator=o.check_picture),
    ] = None,
    block_size: own.BlockSize = None,
    blocking: own.Blocking = None,
    type_: own.Type = None,
    padding_mode: own.PaddingMode = "constant",
    num_classes: own.NumClasses = None,
    target: Annotated[
        Literal["torch", "onnx"],
        Parameter(
            help="torch: run by this package; onnx: the file that `tile export` writes, which joins tiles"
        ),
    ] = "torch",
    plugins: o.Plugins = (),
) -> int:
    """Print a plan: its stages, peak memory, multiply-adds and tiles, beside the network layer by layer.

    Without --budget or --grid: the least memory for at most 1.2 times the multiply-adds.
    """
    import torch

    from blockzoo.core.errors import UsageError
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.models.own import channels_of, classes_of
    from blockzoo.models.resolve import build_network
    from blockzoo.tiling.onnx.deployment import CLASSES
    from blockzoo.tiling.planning import planner
    from blockzoo.tiling.planning.proof import proved
    from blockzoo.tiling.planning.traffic import traffic
    from blockzoo.tiling.tags import tiled_subject

    tiling = own.tiling(subject, block_size, blocking, type_, padding_mode)
    name = tiled_subject(subject, tiling, image_size)
    channels, classes = channels_of(name), classes_of(name, num_classes, CLASSES)
    model = build_network(NetworkSpec(name, in_channels=channels, out_dim=classes)).eval()
    image = torch.zeros(1, channels, image_size, image_size)
    if results is not None:
        if planning != Planning():
            raise UsageError(
                "--results plans each of its settings as it stands there: leave the options of Planning out"
            )
        return _with_accuracy(subject, model, image, results)
    if target == "onnx":
        from blockzoo.tiling.onnx.plan import pareto_onnx, plan_onnx

        of_file: Any = {name: getattr(planning, name) for name in settings_of(Cutting)}
        usual = Planning(**of_file, dtype=planning.dtype)
        if buffer is not None or figure is not None or planning != usual:
            raise UsageError(
                "--target onnx: --buffer, --figure, --batch, --no-fold and --in-place-depthwise belong to plans that this "
                "package runs"
            )
        of_file["dtype"] = planning.dtype or "fp32"
        if pareto:
            _print_front(pareto_onnx(model, image, **of_file))
            return 0
        screen.out.print(str(plan_onnx(model, image, **of_file)), soft_wrap=True)
        return 0
    if pareto:
        _print_front(planner.pareto(model, image, **together(planning)))
        screen.out.print(AS_A_FILE, soft_wrap=True)
        return 0
    made = proved(model, planner.plan(model, image, **together(planning)))
    screen.out.print(str(made), soft_wrap=True)
    if made.tiles:
        screen.out.print(AS_A_FILE, soft_wrap=True)
    if buffer is not None:
        ours, layers = traffic(model, made, planner.bytes_of(buffer))
        screen.out.print(f"beyond {buffer} on chip: {ours}", soft_wrap=True)
        screen.out.print(f"layer by layer: {layers}", soft_wrap=True)
    if figure is not None:
        from blockzoo.report.pictures.looks import save
        from blockzoo.tiling.experiments.memory_figure import memory_over_layers

        title = f"{subject}, {made.mode}, {made.dtype}, {image_size} x {image_size}"
        save(memory_over_layers(made, *planner.timelines(model, made), title=title), figure)
        screen.out.print(f"written   {figure}", soft_wrap=True)
    return 0


def _print_front(plans: list[Any]) -> None:
    base = plans[0].layer_by_layer
    rows = [
        [
            units.size(p.peak_bytes),
            f"{p.peak_bytes / base.peak_bytes:.3f}",
            f"{p.macs / base.macs:.2f}",
            str(p.tiles),
            str(len(p.steps)),
        ]
        for p in plans
    ]
    caption = f"Layer by layer: {units.size(base.peak_bytes)}. MACs include halos that are computed again."
    screen.out.print(
        screen.table(
            "Pareto-optimal plans",
            ["peak", "of layer by layer", "x MACs", "tiles", "steps"],
            rows,
            caption,
        )
    )


def _with_accuracy(subject: str, model: Any, image: Any, results: Path) -> int:
    from blockzoo.core.errors import UsageError
    from blockzoo.tiling.experiments.accuracy import read_results, settings
    from blockzoo.tiling.tags import plain_subject

    lines = read_results(results)
    name = plain_subject(subject).rpartition(":")[2]
    chosen = [line for line in lines if line.get("arch") == name]
    if not chosen:
        raise UsageError(
            f"{results} has no line of {name}; it has {', '.join(sorted({str(x.get('arch')) for x in lines}))}"
        )
    rows = [
        [
            f"{s.blocking} {s.padding}, {s.way}",
            s.accuracy.text(2, 100),
            str(s.accuracy.n),
            units.size(s.plan.peak_bytes),
            units.size(s.plan.layer_by_layer.peak_bytes),
        ]
        for s in settings(model, image, chosen)
    ]
    columns = ["setting", "test accuracy, %", "seeds", "least peak", "layer by layer"]
    caption = "Accuracy as measured by the study, mean and 95 % interval over seeds; peaks of live activations as planned, fp32."
    screen.out.print(screen.table(f"{name} at {image.shape[-1]} x {image.shape[-1]}", columns, rows, caption))
    return 0
