"""Files of networks with several inputs, against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.tiling.onnx.export import export_onnx
from blockzoo.tiling.onnx.fuse import Fusing, fuse_onnx
from blockzoo.tiling.onnx.plan import plan_onnx
from blockzoo.tiling.onnx.quantise import Calibration
from blockzoo.tiling.onnx.session import every_output


class Conditioned(nn.Module):
    """An image, a map that is added to what is made of it, numbers for each channel, and which of some rows is meant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.table = nn.Embedding(5, 8)

    def forward(
        self, x: torch.Tensor, beside: torch.Tensor, scale: torch.Tensor, which: torch.Tensor
    ) -> torch.Tensor:
        x = self.first(x) + beside
        x = torch.relu(x * scale[:, :, None, None] + self.table(which)[:, :, None, None])
        return self.last(x)  # type: ignore[no-any-return]


GIVEN = (torch.randn(2, 3, 20, 18), torch.randn(2, 8, 20, 18), torch.randn(2, 8), torch.tensor([3, 1]))


def others() -> list[torch.Tensor]:
    return [torch.randn(2, 3, 20, 18), torch.randn(2, 8, 20, 18), torch.randn(2, 8), torch.tensor([0, 4])]


def compared(model: nn.Module, path: Path) -> None:
    for given in (GIVEN, others()):
        with torch.no_grad():
            wanted = model(*given)
        (got,) = next(every_output(path, [[x.numpy() for x in given]]))
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)


@pytest.mark.slow
def test_a_network_of_several_inputs_is_exported_in_tiles(tmp_path: Path) -> None:
    model = Conditioned().eval()
    export_onnx(model, GIVEN, tmp_path / "layers.onnx")
    compared(model, tmp_path / "layers.onnx")
    asked = {"grid": (4, 3), "fuse_to": "last", "mode": "exact"}
    report: Any = export_onnx(model, GIVEN, tmp_path / "tiles.onnx", fusing=Fusing(**asked))  # type: ignore[arg-type]
    compared(model, tmp_path / "tiles.onnx")
    assert report.tiles >= 12 and report.peak_bytes == report.planned_bytes < report.layer_by_layer_bytes
    plan = plan_onnx(model, GIVEN, **asked)  # type: ignore[arg-type]
    assert plan.peak_bytes == report.planned_bytes
    assert plan.other_inputs == ((2, 8, 20, 18), (2, 8), (2,))

    fused = fuse_onnx(tmp_path / "layers.onnx", tmp_path / "again.onnx", Fusing(**asked))  # type: ignore[arg-type]
    assert fused.tiles == report.tiles
    compared(model, tmp_path / "again.onnx")


def test_int8_is_calibrated_on_images_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="so a model of one input"):
        export_onnx(
            Conditioned().eval(), GIVEN, tmp_path / "a.onnx", calibration=Calibration(GIVEN[0].numpy())
        )


def test_inputs_that_are_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tiles need images"):
        export_onnx(nn.Linear(3, 4), torch.randn(2, 3), tmp_path / "a.onnx")
