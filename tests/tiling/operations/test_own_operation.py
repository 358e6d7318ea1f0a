"""An operation that one file adds is planned, run in tiles and exported; without a form in ONNX it is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.plugins import load_plugins
from blockzoo.models.agreement import deviation
from blockzoo.tiling.contracts import OPERATIONS, Locality
from blockzoo.tiling.geometry import Window
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.runtime.runner import TiledRunner

X = torch.randn(1, 3, 32, 28, generator=torch.Generator().manual_seed(0))
SIZE = 5


class Eroded(nn.Module):
    """Convolutions around what is made up."""

    def __init__(self, made_up: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.made_up = made_up
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.made_up(self.first(x)))
        return made


@pytest.fixture(scope="module")
def plugin() -> Iterator[Any]:
    """Two operations more, for these tests alone."""
    (name,) = load_plugins([str(Path(__file__).with_name("erosion.py"))])
    own = [name for name in OPERATIONS if not OPERATIONS.origin(name).startswith("blockzoo.")]
    assert own == ["double", "erosion"]
    yield sys.modules[OPERATIONS["erosion"].__module__]
    for name in own:
        del OPERATIONS[name]


def made(plugin: Any, way: str) -> Eroded:
    ways = {
        "layer": plugin.Erosion(SIZE),
        "function": lambda x: torch.ops.made_up.erosion(x, SIZE),
        "in place": lambda x: torch.ops.made_up.double(x),
    }
    return Eroded(ways[way])


@pytest.mark.parametrize("way", ["layer", "function", "in place"])
@torch.no_grad()
def test_it_is_planned_and_run_in_tiles(plugin: Any, way: str) -> None:
    model = made(plugin, way)
    kinds = {
        str(o.tileable and type(o.tileable).__name__): o for o in traced(ready(model, X, True), X).operations
    }
    own = kinds["Double" if way == "in place" else "ErosionInTiles"]
    assert own.kind == ("pointwise" if way == "in place" else "window")
    assert own.over == (["conv2d"] if way == "in place" else [])
    plan = tiling.plan(model, X, grid=(4, 3), fuse_to="last", mode="exact")
    assert plan.tiles == 12 and plan.checked is not None and plan.checked < 0.1
    runner = TiledRunner(model, plan)
    assert runner.checked is not None and deviation(model(X), runner(X)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("way", ["layer", "function"])
@pytest.mark.parametrize("mode", ["exact", "block"])
def test_it_is_exported_whole_and_in_tiles(plugin: Any, way: str, mode: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from blockzoo.tiling.onnx.export import export_onnx
    from blockzoo.tiling.onnx.fuse import Fusing
    from blockzoo.tiling.onnx.session import outputs

    model = made(plugin, way)
    report = export_onnx(model, X, tmp_path / "whole.onnx")
    assert report.checked is not None and report.checked < 1e-4
    with torch.no_grad():
        np.testing.assert_allclose(outputs(report.path, X.numpy()), model(X).numpy(), atol=1e-5)
    cut = export_onnx(model, X, tmp_path / "cut.onnx", fusing=Fusing((2, 2), "last", mode=mode))
    assert cut.tiles == 4 and cut.checked < 1e-4


def test_without_a_form_in_onnx_it_is_refused_by_name(plugin: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from blockzoo.tiling.onnx.export import export_onnx

    with pytest.raises(UsageError, match=r"ONNX has no operation for made_up\.double"):
        export_onnx(made(plugin, "in place"), X, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.mutation("tiled-runner")
def test_one_that_reads_more_than_it_says_is_refused(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(SIZE, 2, 1, 1, 1)
    monkeypatch.setattr(plugin.ErosionInTiles, "locality", lambda self, call: Locality.window(window, window))
    model = made(plugin, "layer")
    with pytest.raises((CheckFailed, UsageError)):
        TiledRunner(model, tiling.plan(model, X, grid=(4, 3), fuse_to="last", mode="exact"))
