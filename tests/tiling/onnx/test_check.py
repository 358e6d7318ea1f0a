"""A file is compared with the network before it bears its name: what computes something else, or needs more, is not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo.core.errors import CheckFailed, UsageError
from tests.sampled import sampled
from tests.tiling.onnx.networks import STAGES, images, integers, layers, network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from blockzoo.tiling.onnx import fuse as onnx_fuse  # noqa: E402
from blockzoo.tiling.onnx.check import check_memory  # noqa: E402
from blockzoo.tiling.onnx.export import WantedFile, export_onnx, exported, onnx_layers  # noqa: E402
from blockzoo.tiling.onnx.files import opened, saved  # noqa: E402
from blockzoo.tiling.onnx.fuse import Fusing, fuse_onnx, fused  # noqa: E402
from blockzoo.tiling.onnx.plan import pareto_onnx, plan_onnx  # noqa: E402
from blockzoo.tiling.onnx.session import executed  # noqa: E402
from blockzoo.tiling.operations import windows  # noqa: E402

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Mish, nn.SiLU, nn.GELU, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU, nn.PReLU, nn.Hardsigmoid,
    nn.Hardtanh, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Sigmoid, nn.Tanh,
)  # fmt: skip


class Activations(nn.Module):
    """Every activation of torch on its own convolution, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.each = nn.ModuleList(
            nn.Sequential(nn.Conv2d(4, 2, 3, padding=1), kind())
            for kind in (*ACTIVATIONS, lambda: nn.Threshold(0.1, 0.2))
        )
        self.gelu = nn.GELU("tanh")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.gelu(self.first(x))
        parts = [torch.tanh(branch(y) / 10) for branch in self.each]
        return torch.cat([*parts, nn.functional.glu(y, 1)], 1)


@pytest.mark.slow
def test_every_activation_is_exported_and_cut(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Activations().eval(), torch.randn(1, 3, 12, 12)
    whole = export_onnx(model, x, tmp_path / "whole.onnx")
    assert whole.checked is not None and whole.checked < 1e-4
    cut = export_onnx(model, x, tmp_path / "cut.onnx", fusing=Fusing((3, 2), "cat", mode="exact"))
    assert cut.tiles == 6 and cut.checked < 1e-4


@pytest.mark.parametrize("kind", sampled([nn.Hardswish, nn.Mish, nn.LogSigmoid], 1))
def test_what_onnx_runtime_replaces_is_counted(kind: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), kind()).eval()
    report = export_onnx(model, torch.randn(1, 3, 16, 16), tmp_path / "x.onnx")
    assert report.peak_bytes == 2 * 4 * 8 * 14 * 14, "what goes into the product twice, and one factor"
    names = {node.name for node in opened(report.path).graph.node}
    assert set(executed(opened(report.path)).order) == names


def test_an_operation_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.RReLU()).eval()
    with pytest.raises(UsageError, match=r"ONNX has no operation for aten\.rrelu"):
        export_onnx(model, torch.randn(1, 3, 16, 16), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.mutation("onnx-file")
@pytest.mark.parametrize("mode", ["block", "exact"])
def test_a_wrong_cut_is_not_written(mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(tile: Any, reads: Any) -> Any:
        (before, after), more, made = pads(tile, reads)
        return ((before - 1, after + 1) if before and not after else (before, after)), more, made

    pads, fusing = windows._padding_of, Fusing((3, 2), "5", mode=mode)
    truth = layers("small").one_by_one(layers("small").planned(fusing))
    monkeypatch.setattr(onnx_fuse.Layers, "one_by_one", lambda self, plan=None: truth if plan else self.model)
    monkeypatch.setattr(windows, "_padding_of", shifted)
    with pytest.raises(CheckFailed, match="check 'onnx-file' failed"):
        fused(layers("small"), tmp_path / "x.onnx", fusing, images("small").numpy())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.mutation("onnx-file")
def test_a_wrong_fold_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blockzoo.tiling.onnx import export

    def bent(model: nn.Module, example: torch.Tensor, fold: bool) -> nn.Module:
        made = right(model, example, fold)
        with torch.no_grad():
            next(m for m in made.modules() if isinstance(m, nn.Conv2d)).bias.add_(0.05)
        return made

    right = export.ready
    monkeypatch.setattr(export, "ready", bent)
    x = images("small")[:1]
    with pytest.raises(CheckFailed, match="Small: check 'onnx-file' failed"):
        export_onnx(network("small"), x, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.mutation("onnx-integers")
def test_integers_padded_with_another_number_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layered, fusing = integers("small"), Fusing((3, 2), "5", mode="exact")
    wrong = layered.in_tiles(layered.planned(fusing))
    layer = next(node for node in wrong.graph.node if node.op_type == "QLinearConv")
    zero = next(tensor for tensor in wrong.graph.initializer if tensor.name == layer.input[2])
    other = np.asarray(onnx.numpy_helper.to_array(zero) + np.uint8(40))
    zero.CopyFrom(onnx.numpy_helper.from_array(other, zero.name))
    monkeypatch.setattr(onnx_fuse.Layers, "in_tiles", lambda self, plan: wrong)
    with pytest.raises(CheckFailed, match="check 'onnx-integers' failed"):
        fused(layered, tmp_path / "x.onnx", fusing, images("small").numpy())
    assert not list(tmp_path.iterdir())


@pytest.mark.mutation("onnx-memory")
def test_a_file_that_needs_more_than_planned_is_not_written(tmp_path: Path) -> None:
    path = saved(layers("small").model, tmp_path / "x.onnx")
    needs = executed(path).peak_bytes
    assert check_memory(path, needs, None, "small") == 0
    with pytest.raises(CheckFailed, match=f"needs {needs:,} bytes .* and {needs - 1:,} were planned"):
        check_memory(path, needs - 1, None, "small")
    with pytest.raises(CheckFailed, match="were asked for"):
        check_memory(path, needs, needs - 1, "small")


@pytest.mark.parametrize(
    ("name", "made_of"), [("small", layers), ("small", integers), ("pooled", layers), ("residual", layers)]
)
@pytest.mark.parametrize("mode", sampled(["block", "exact"], ["exact"]))
def test_planned_memory_is_what_the_file_needs_to_the_byte(name: str, made_of: Any, mode: Any) -> None:
    """Every plan of the front; and each budget finds a plan that no listed one beats."""
    built = made_of(name)
    plans = built.front(mode)
    costs = [(plan.peak_bytes, plan.macs, plan.tiles) for plan in plans]
    assert not [a for a in costs for b in costs if a != b and all(x <= y for x, y in zip(b, a, strict=True))]
    for plan in plans:
        assert executed(built.in_tiles(plan)).peak_bytes == plan.peak_bytes == max(plan.cost.steps)
        again = built.planned(Fusing(budget=plan.peak_bytes, mode=mode))
        assert again.peak_bytes <= plan.peak_bytes and again.macs <= plan.macs


@pytest.mark.slow
def test_plan_and_export_agree(tmp_path: Path) -> None:
    x = images("small")[:1]
    for options in ({"budget": "8KiB"}, {"grid": (3, 2), "fuse_to": "5"}):
        planned = plan_onnx(network("small"), x, **options)  # type: ignore[arg-type]
        path = tmp_path / f"{len(options)}.onnx"
        report = export_onnx(network("small"), x, path, fusing=Fusing(**options))  # type: ignore[arg-type]
        assert planned == report.plan
        assert planned.peak_bytes == report.planned_bytes == report.peak_bytes
    assert plan_onnx(network("small"), x).peak_bytes <= pareto_onnx(network("small"), x)[-1].peak_bytes
    assert plan_onnx(network("small"), x, dtype="int8").peak_bytes < 8192


def test_what_was_found_is_in_the_file_and_the_report(tmp_path: Path) -> None:
    grid, end, _, _ = STAGES["small"]
    file = WantedFile(tmp_path / "x.onnx", story={"weights": "drawn"})
    report = exported(network("small"), images("small")[:1], file, Fusing(grid, end), None)
    said = {entry.key: entry.value for entry in opened(report.path).metadata_props}
    assert said["blockzoo.weights"] == "drawn" and said["blockzoo.checked"] == f"{report.checked:.1e}"
    assert f"checked {report.checked:.1e}" in str(report)
    again = fuse_onnx(report.path, tmp_path / "y.onnx", Fusing(budget=2 * report.layer_by_layer_bytes))
    assert again.checked < 1e-4


def test_the_layers_know_the_network_they_are_of() -> None:
    layered = onnx_layers(network("small"), images("small")[:1])
    assert layered.name == "Small" and layered.plain is not None
    assert integers("small").plain is None
