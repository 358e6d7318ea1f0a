"""Files whose maps are made larger or smaller in tiles, against PyTorch and the layers one by one in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.tiling.onnx.export import export_onnx
from blockzoo.tiling.onnx.fuse import Fusing
from blockzoo.tiling.onnx.session import outputs
from blockzoo.tiling.operations.resize import interpolation_of
from tests.sampled import sampled


class UNet(nn.Module):
    """Two levels, upsampled bilinearly."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.head = nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(24, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = F.relu(self.down(x))
        x = self.up(F.relu(self.middle(F.max_pool2d(skip, 2))))
        return self.head(torch.cat([skip, x], 1))  # type: ignore[no-any-return]


class Resized(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.interpolate(self.first(x), **self.options))  # type: ignore[no-any-return]


def difference(model: nn.Module, path: Path, x: torch.Tensor) -> float:
    with torch.no_grad():
        wanted = model(x).numpy()
    got = outputs(path, x.numpy(), optimised=False)
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    return float(np.nanmax(np.abs(got - wanted)) / np.nanmax(np.abs(wanted)))


@pytest.mark.slow
def test_a_u_net_with_bilinear_upsampling_is_exported_in_tiles(tmp_path: Path) -> None:
    model, x = UNet().eval(), torch.randn(1, 3, 32, 32)
    exact = Fusing(mode="exact", grid=(4, 4), fuse_to="head")
    report: Any = export_onnx(model, x, tmp_path / "exact.onnx", fusing=exact)
    assert report.tiles == 16 and report.peak_bytes == report.planned_bytes < report.layer_by_layer_bytes / 2
    assert difference(model, tmp_path / "exact.onnx", x) < 1e-5

    block = Fusing(grid=(3, 2), fuse_to="head")  # cuts within a pixel of the map that is enlarged
    made: Any = export_onnx(model, x, tmp_path / "block.onnx", fusing=block)
    assert made.peak_bytes == made.planned_bytes
    runner = tiling.TiledRunner(model, tiling.plan(model, x, grid=(3, 2), fuse_to="head"))
    assert difference(runner, tmp_path / "block.onnx", x) < 1e-5


@pytest.mark.parametrize(
    "options",
    sampled(
        [
            {"size": (21, 19)},
            {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
            {"size": (9, 11), "mode": "bilinear"},
            {"scale_factor": 1.5, "mode": "bicubic"},
            {"scale_factor": (2.0, 3.0), "mode": "nearest"},
            {"size": (9, 7), "mode": "bilinear", "antialias": True},
        ],
        2,
    ),
    ids=str,
)
def test_every_interpolation_is_cut_exactly(options: dict[str, Any], tmp_path: Path) -> None:
    model, x = Resized(**options).eval(), torch.randn(1, 3, 16, 14)
    path, fusing = tmp_path / "made.onnx", Fusing(mode="exact", grid=(3, 2), fuse_to="last")
    report: Any = export_onnx(model, x, path, fusing=fusing)
    assert report.tiles == 6 and report.peak_bytes == report.planned_bytes
    assert difference(model, path, x) < 1e-5


def test_a_pixel_that_is_no_number_stays_where_it_is(tmp_path: Path) -> None:
    model, x = Resized(size=(21, 19), mode="bilinear", align_corners=True).eval(), torch.randn(1, 3, 16, 14)
    export_onnx(model, x, tmp_path / "a.onnx", fusing=Fusing(mode="exact", grid=(3, 2), fuse_to="last"))
    x[0, 1, 7, 3] = float("nan")
    assert difference(model, tmp_path / "a.onnx", x) < 1e-5


def test_a_resize_of_others_is_no_interpolation_of_torch() -> None:
    linear = {"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"}
    assert interpolation_of(linear, [2, 2], None) == {
        "mode": "bilinear",
        "scale_factor": (2, 2),
        "align_corners": False,
        "antialias": False,
    }
    assert interpolation_of({**linear, "coordinate_transformation_mode": b"asymmetric"}, [2, 2], None) is None
    assert interpolation_of({**linear, "mode": b"cubic", "cubic_coeff_a": -0.5}, [2, 2], None) is None
    assert interpolation_of({"mode": b"nearest"}, [2, 2], None) is None, "rounds halves down"
    assert interpolation_of(linear, None, None) is None, "computed"
