"""What a file makes of NaN and infinities where its network makes something else is said by name, and refused if asked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import CheckFailed

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from blockzoo.tiling.onnx import export, fault
from blockzoo.tiling.onnx.export import export_onnx
from blockzoo.tiling.onnx.fault import foreign_operation
from blockzoo.tiling.onnx.files import needed, opened
from blockzoo.tiling.onnx.fuse import Fusing, fuse_onnx
from blockzoo.tiling.onnx.quantise import Calibration
from blockzoo.tiling.onnx.special import Special, check_special, differences
from tests.sampled import sampled

FORMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "amax": lambda x: x.amax((2, 3)),
    "topk": lambda x: x.flatten(1).topk(3).values,
    "sign": torch.sign,
    "gelu": F.gelu,
    "relu": torch.relu,
    "conv": lambda x: x,
}
DIFFER, AGREE = ("max_pool2d", "amax", "topk", "sign"), ("relu", "conv")
SAYS_NAN = {"sign": "gives NaN where the network gives numbers"}
X = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class After(nn.Module):
    """A convolution, and what is made of its result."""

    def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.form = nn.Conv2d(3, 4, 3, padding=1), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.conv(x))


def differs(network: nn.Module, path: Path) -> bool:
    """By hand: does the file, run by ONNX Runtime alone, make something else of NaN or infinities than the network?"""
    session = needed("onnxruntime").InferenceSession(str(path))
    for values in ([np.nan], [np.inf, -np.inf]):
        x = X.clone()
        for place, value in enumerate(values):
            x[0, place, 4 + place, 4] = float(value)
        (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            wanted = network(x).numpy()
        if not np.allclose(got, wanted, atol=1e-4, equal_nan=True):
            return True
    return False


@pytest.mark.parametrize("name", sampled(FORMS, 1))
def test_it_is_said_exactly_where_file_and_network_differ(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network, path = After(FORMS[name]).eval(), tmp_path / "x.onnx"
    with caplog.at_level(logging.WARNING, "blockzoo"):
        report = export_onnx(network, X, path)
    (said,) = [e.value for e in opened(path).metadata_props if e.key == "blockzoo.special"]
    assert bool(report.special) == differs(network, path)
    assert report.checked is not None and report.checked < 1e-4
    assert name not in DIFFER or report.special
    assert name not in AGREE or not report.special
    if report.special:
        assert f"(as {name} does alone)" in report.special and said == report.special
        assert report.special in caplog.text and str(report).endswith(
            f"\nNaN and infinities: {report.special}"
        )
        if name in DIFFER:
            assert SAYS_NAN.get(name, "given NaN, the file gives numbers where the network gives NaN") in said
        assert ("maxima pass over NaN" in said) == (name in DIFFER[:3])
    else:
        assert said == "as the network" and not caplog.records and "NaN" not in str(report)


@pytest.mark.slow
def test_a_strict_export_refuses_it_and_nothing_else(tmp_path: Path) -> None:
    network = After(FORMS["amax"]).eval()
    with pytest.raises(CheckFailed, match=r"After: check 'onnx-special' failed.*amax.*strict"):
        export_onnx(network, X, tmp_path / "x.onnx", strict=True)
    assert not list(tmp_path.iterdir())
    export_onnx(After(FORMS["relu"]).eval(), X, tmp_path / "y.onnx", strict=True)


@pytest.mark.slow
@pytest.mark.mutation("onnx-special")
def test_a_file_that_loses_nan_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Losing(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.network(x)
            return torch.where(torch.isnan(y), 0.5, y)

    right = export._exported
    network = After(FORMS["relu"]).eval()
    monkeypatch.setattr(fault, "_known", {})
    monkeypatch.setattr(export, "_exported", lambda model, given: right(Losing(model), given))
    with pytest.raises(
        CheckFailed, match=r"onnx-special.*given NaN, the file gives numbers where the network"
    ):
        export_onnx(network, X, tmp_path / "x.onnx", strict=True)
    report = export_onnx(network, X, tmp_path / "x.onnx")
    assert "the file gives numbers where the network gives NaN" in report.special


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["block", "exact"])
def test_fused_files_say_it_and_compare_with_what_they_are_made_of(mode: Any, tmp_path: Path) -> None:
    network, fusing = After(FORMS["max_pool2d"]).eval(), Fusing((2, 2), "max_pool2d", mode=mode)
    report = export_onnx(network, X, tmp_path / "x.onnx", fusing=fusing)
    assert "(as max_pool2d does alone)" in report.special and report.special in str(report)
    with pytest.raises(CheckFailed, match="max_pool2d"):
        export_onnx(network, X, tmp_path / "y.onnx", fusing=fusing, strict=True)
    export_onnx(network, X, tmp_path / "z.onnx")
    again = fuse_onnx(tmp_path / "z.onnx", tmp_path / "t.onnx", Fusing(budget="1MiB", mode=mode), strict=True)
    assert again.special == "", "both are run by ONNX Runtime"


@pytest.mark.slow
def test_integers_have_neither(tmp_path: Path) -> None:
    network, calibration = After(FORMS["relu"]).eval(), Calibration(X.numpy())
    report = export_onnx(network, X, tmp_path / "x.onnx", calibration=calibration)
    assert report.special.startswith("int8 has neither")
    with pytest.raises(CheckFailed, match="int8 has neither"):
        export_onnx(network, X, tmp_path / "y.onnx", calibration=calibration, strict=True)
    fused = fuse_onnx(tmp_path / "x.onnx", tmp_path / "z.onnx", Fusing(budget="1MiB"), strict=True)
    assert fused.special == "", "so has what it was made from"


def test_what_the_network_itself_refuses_shows_nothing(tmp_path: Path) -> None:
    def looked_up(y: torch.Tensor) -> torch.Tensor:
        return torch.arange(12.0)[(y * 0 + 3).clamp(0, 11).long()]

    assert export_onnx(After(looked_up).eval(), X, tmp_path / "x.onnx").special == ""


@torch.library.custom_op("blockzoo_test::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_operations_that_are_not_of_pytorch_are_given_no_nan() -> None:
    assert foreign_operation(After(lambda x: twice(x)), [X]) == "blockzoo_test::twice"
    assert foreign_operation(After(FORMS["gelu"]), [X]) == ""
    said: list[str] = []
    special = Special(foreign=lambda: "blockzoo_test::twice")
    assert check_special("no.onnx", lambda given: [], [X.numpy()], "net", special, said.append) is None
    assert "blockzoo_test::twice is not known to be PyTorch's" in said[0]
    with pytest.raises(CheckFailed, match="twice"):
        check_special("no.onnx", lambda given: [], [X.numpy()], "net", Special(True, foreign=special.foreign))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (np.nan, 1.0, "numbers where the network gives NaN"),
        (np.nan, np.inf, "infinities where the network gives NaN"),
        (np.inf, np.nan, "NaN where the network gives infinities"),
        (np.inf, -np.inf, "infinities of the other sign where the network gives infinities"),
        (np.inf, 1.0, "numbers where the network gives infinities"),
        (1.0, np.nan, "NaN where the network gives numbers"),
        (1.0, np.inf, "infinities where the network gives numbers"),
        (1.0, 2.0, "other numbers"),
        (1.0, 1.0 + 1e-7, ""),
        (np.nan, np.nan, ""),
        (-np.inf, -np.inf, ""),
    ],
)
def test_every_way_of_differing_has_its_words(one: float, other: float, said: str) -> None:
    ways = differences([np.array([one, 3.0])], [np.array([other, 3.0])], lambda by: by < 1e-4)
    assert ways == ({f"the file gives {said}": 0.5} if said else {})
