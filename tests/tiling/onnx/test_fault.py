"""A network whose file differs from it is refused by the name of the operation that does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import CheckFailed
from blockzoo.tiling import export_onnx
from blockzoo.tiling.onnx.fault import operation_at_fault


class Resized(nn.Module):
    """Resized by factors that are rounded in another way by torch's exporter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.interpolate(self.first(x).relu(), scale_factor=(1.7, 0.6), mode="nearest"))


@pytest.mark.slow
def test_the_operation_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CheckFailed, match=r"onnx-file.*it shows in aten\.upsample_nearest2d\.vec of \[1\.7, 0\.6\]"
    ):
        export_onnx(Resized().eval(), torch.randn(1, 3, 20, 21), tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_where_none_differs_none_is_named() -> None:
    from blockzoo.tiling.onnx.export import _exported

    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 81, 3)
    )
    assert operation_at_fault(network, [torch.randn(1, 3, 20, 20)], _exported) == ""
