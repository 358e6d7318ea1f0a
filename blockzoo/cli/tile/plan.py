"""plan: which parts of a network to run in how many tiles, within a memory budget"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import Without
from blockzoo.cli.expanded import expanded
from blockzoo.cli.tile import _options as own
from blockzoo.core import units
from blockzoo.core.checked import settings_of, together
from blockzoo.core.typeset import HIGH, KEY, name, number, prose
from blockzoo.tiling.planning.options import Cutting, Planning

if TYPE_CHECKING:
    from blockzoo.tiling.planning.plan import Plan
    from blockzoo.tiling.planning.traffic import Traffic

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
        str | None,
        Parameter(help="on-chip memory, 1MiB: state the bytes that go beyond it"),
        Without("--pareto", "--results"),
    ] = None,
    pareto: Annotated[
        bool, Parameter(help="all Pareto-optimal plans", negative=()), Without("--results")
    ] = False,
    results: Annotated[
        Path | None, Parameter(help="lines of `tile study` (CSV): its settings with memory beside accuracy")
    ] = None,
    figure: Annotated[
        Path | None,
        Parameter(help="picture of memory over the layers, before and after", validator=o.check_picture),
        Without("--pareto", "--results"),
    ] = None,
    block_size: Annotated[own.BlockSize, Without("--results")] = None,
    blocking: Annotated[own.Blocking, Without("--results")] = None,
    type_: Annotated[own.Type, Without("--results")] = None,
    padding_mode: Annotated[own.PaddingMode, Without("--results")] = "constant",
    num_classes: own.NumClasses = None,
    target: Annotated[
        Literal["torch", "onnx"],
        Parameter(
            help="torch: run by this package; onnx: the file that `tile export` writes, which joins tiles"
        ),
        Without("--results"),
    ] = "torch",
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Print a plan: its stages, peak memory, multiply-adds and tiles, beside the network layer by layer.

    Without --budget or --grid: the least memory for at most 1.2 times the multiply-adds.

    Examples:
        blockzoo tile plan model:resnet8_half --image-size 64 --budget 64KiB
        blockzoo tile plan torchvision:resnet18 --pareto --format csv
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
    named = tiled_subject(subject, tiling, image_size)
    channels, classes = channels_of(named), classes_of(named, num_classes, CLASSES)
    model = build_network(NetworkSpec(named, in_channels=channels, out_dim=classes)).eval()
    image = torch.zeros(1, channels, image_size, image_size)
    if results is not None:
        if planning != Planning():
            raise UsageError(
                "--results plans each of its settings as it stands there: leave the options of Planning out"
            )
        return _with_accuracy(subject, model, image, results, format)
    if target == "onnx":
        from blockzoo.tiling.onnx.plan import pareto_onnx, plan_onnx

        of_file: Any = {key: getattr(planning, key) for key in settings_of(Cutting)}
        usual = Planning(**of_file, dtype=planning.dtype)
        if buffer is not None or figure is not None or planning != usual:
            raise UsageError(
                "--target onnx: --buffer, --figure, --batch, --no-fold and --in-place-depthwise belong to plans that this "
                "package runs"
            )
        of_file["dtype"] = planning.dtype or "fp32"
        if pareto:
            _print_front(pareto_onnx(model, image, **of_file), format)
            return 0
        _print_plan(plan_onnx(model, image, **of_file), {}, format)
        return 0
    if pareto:
        _print_front(planner.pareto(model, image, **together(planning)), format)
        screen.out.print(AS_A_FILE)
        return 0
    tile_plan = proved(model, planner.plan(model, image, **together(planning)))
    moved = traffic(model, tile_plan, planner.bytes_of(buffer)) if buffer is not None else ()
    _print_plan(tile_plan, dict(zip(("plan", "layer_by_layer"), moved, strict=False)), format)
    if tile_plan.tiles:
        screen.out.print(AS_A_FILE)
    if moved:
        screen.out.print(f"beyond {buffer} on chip: {moved[0]}")
        screen.out.print(f"layer by layer: {moved[1]}")
    if figure is not None:
        from blockzoo.report.pictures.looks import save
        from blockzoo.tiling.experiments.memory_figure import memory_over_layers

        title = f"{subject}, {tile_plan.mode}, {tile_plan.dtype}, {image_size} x {image_size}"
        save(memory_over_layers(tile_plan, *planner.timelines(model, tile_plan), title=title), figure)
        screen.say(f"written   {figure}")
    return 0


def _print_plan(made: Plan, moved: dict[str, Traffic], format: str) -> None:
    """A line for each step; `moved` beyond the chip: by the plan, and layer by layer."""
    head, *_ = str(made).split("\n")
    steps = list(zip(made.steps, made.labels, made.cost.steps, strict=True))
    lines = [(label, step.how, units.aligned_size(size)) for step, label, size in steps]
    rows = [
        {
            "step": label,
            "kind": step.kind,
            "grid_rows": step.grid[0],
            "grid_columns": step.grid[1],
            "batch": step.batch,
            "peak_bytes": size,
            "plan_peak_bytes": made.peak_bytes,
            "plan_macs": made.macs,
            "layer_by_layer_peak_bytes": made.layer_by_layer.peak_bytes,
            "layer_by_layer_macs": made.layer_by_layer.macs,
            **{f"{whose}_{key}": value for whose, of in moved.items() for key, value in of.columns().items()},
        }
        for step, label, size in steps
    ]
    columns = ["step", prose("how it is run", HIGH), number("peak", importance=KEY)]
    screen.show(screen.table(head, columns, lines), rows, format)


def _row(made: Plan) -> dict[str, Any]:
    return {
        "peak_bytes": made.peak_bytes,
        "macs": made.macs,
        "tiles": made.tiles,
        "steps": len(made.steps),
        "layer_by_layer_peak_bytes": made.layer_by_layer.peak_bytes,
        "layer_by_layer_macs": made.layer_by_layer.macs,
    }


def _print_front(plans: list[Plan], format: str) -> None:
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
    columns = [name("peak"), *(number(text) for text in ("of layer by layer", "x MACs", "tiles", "steps"))]
    screen.show(
        screen.table("Pareto-optimal plans", columns, rows, caption), [_row(p) for p in plans], format
    )


def _with_accuracy(subject: str, model: Any, image: Any, results: Path, format: str) -> int:
    from blockzoo.core.errors import UsageError
    from blockzoo.tiling.experiments.accuracy import read_results, settings
    from blockzoo.tiling.tags import plain_subject

    lines = read_results(results)
    arch = plain_subject(subject).rpartition(":")[2]
    chosen = [line for line in lines if line.get("arch") == arch]
    if not chosen:
        raise UsageError(
            f"{results} has no line of {arch}; it has {', '.join(sorted({str(x.get('arch')) for x in lines}))}"
        )
    of_study = list(settings(model, image, chosen))
    rows = [
        [
            f"{s.blocking} {s.padding}, {s.way}",
            s.accuracy.text(2, 100),
            str(s.accuracy.n),
            units.size(s.plan.peak_bytes),
            units.size(s.plan.layer_by_layer.peak_bytes),
        ]
        for s in of_study
    ]
    columns = [
        "setting",
        *(number(text) for text in ("test accuracy, %", "seeds", "least peak", "layer by layer")),
    ]
    caption = "Accuracy as measured by the study, mean and 95 % interval over seeds; peaks of live activations as planned, fp32."
    flat = [
        {
            "arch": arch,
            "setting": f"{s.blocking} {s.padding}, {s.way}",
            "test_acc": s.accuracy.mean,
            "n": s.accuracy.n,
            "peak_bytes": s.plan.peak_bytes,
            "layer_by_layer_peak_bytes": s.plan.layer_by_layer.peak_bytes,
        }
        for s in of_study
    ]
    title = f"{arch} at {image.shape[-1]} x {image.shape[-1]}"
    screen.show(screen.table(title, columns, rows, caption), flat, format)
    return 0
