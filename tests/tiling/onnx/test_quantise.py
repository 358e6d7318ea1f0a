"""Int8: fused in tiles and layer by layer are one computation; what is lost against floats is measured."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.tiling import block_convert, plan
from tests.sampled import sampled
from tests.tiling.onnx.networks import STAGES, images, integers, layers, network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from onnxruntime.quantization import quantize_static

from blockzoo.tiling.onnx.export import export_onnx
from blockzoo.tiling.onnx.files import opened, saved
from blockzoo.tiling.onnx.fuse import Fusing, fuse_onnx, fused
from blockzoo.tiling.onnx.quantise import Calibration, quantise_onnx, quantised
from blockzoo.tiling.onnx.session import executed, outputs, relative_error


@pytest.mark.parametrize("name", sampled(STAGES, ["small"]))
def test_fused_exactly_is_the_integer_network_bit_for_bit(name: str, tmp_path: Path) -> None:
    _, _, grid, end = STAGES[name]
    report = fused(integers(name), tmp_path / "x.onnx", Fusing(grid, end, mode="exact"))
    assert report.identical
    x = images(name, 8).numpy()
    for optimised in (True, False):
        got = outputs(report.path, x, optimised=optimised)
        assert np.array_equal(got, outputs(integers(name).model, x, optimised=optimised))


@pytest.mark.parametrize("name", sampled(STAGES, ["small"]))
def test_fused_in_blocks_is_every_layer_cut_for_itself_bit_for_bit(name: str, tmp_path: Path) -> None:
    grid, end, _, _ = STAGES[name]
    report = fused(integers(name), tmp_path / "x.onnx", Fusing(grid, end))
    assert report.identical
    unlike = outputs(integers(name).model, images(name).numpy())
    assert not np.array_equal(outputs(report.path, images(name).numpy()), unlike)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["resnet18", "mobilenet_v2"], 1))
def test_arena_lies_within_the_planned_budget(name: str, tmp_path: Path) -> None:
    grid, end, _, _ = STAGES[name]
    planned = plan(network(name), images(name)[:1], grid=grid, fuse_to=end, dtype="int8")
    report = fused(integers(name), tmp_path / "x.onnx", Fusing(grid, end))
    assert report.peak_bytes <= planned.peak_bytes
    assert executed(opened(report.path)).peak_bytes == report.peak_bytes


@pytest.mark.parametrize("name", sampled(STAGES, ["small"]))
def test_integers_are_close_to_floats(name: str) -> None:
    x = images(name).numpy()
    wanted = outputs(layers(name).model, x)
    assert relative_error(outputs(integers(name).model, x), wanted) < 0.15
    kinds = {node.op_type for node in integers(name).model.graph.node}
    assert "QLinearConv" in kinds
    assert "Conv" not in kinds


def test_an_integer_layer_is_what_its_formula_says() -> None:
    """The first convolution of the small network in 64-bit integers: y = round(sum (x - zx) (w - zw) sx sw / sy) + zy."""
    seven = Calibration(
        images("small").numpy(), weight_bits=7
    )  # products of 8 bits saturate where there is no VNNI
    made = quantised(layers("small"), seven).model
    constants = {t.name: torch.from_numpy(np.array(_array(t))) for t in made.graph.initializer}
    node = next(node for node in made.graph.node if node.op_type == "QLinearConv")
    quantise = made.graph.node[0]
    assert quantise.output[0] == node.input[0]
    _, sx, zx, w, sw, zw, sy, zy, bias = (constants.get(name, torch.empty(0)) for name in node.input)
    x = images("small")
    integer = torch.clamp(torch.round(x / sx) + zx.int(), 0, 255).double() - zx.double()
    weight = w.double() - zw.double().view(-1, 1, 1, 1)
    total = torch.nn.functional.conv2d(integer, weight, bias.double(), stride=2, padding=2)
    wanted = torch.clamp(torch.round(total * (sx * sw / sy).double().view(1, -1, 1, 1)) + zy.double(), 0, 255)
    only = type(made)()
    only.CopyFrom(made)
    del only.graph.output[:]
    only.graph.output.add().name = node.output[0]
    got = torch.from_numpy(outputs(only, x.numpy(), optimised=False)).double()
    assert (got - wanted).abs().max() <= 1  # a tie is rounded in single precision there
    assert (got != wanted).double().mean() < 1e-3


def _array(tensor: object) -> np.ndarray:
    from onnx import numpy_helper

    array: np.ndarray = numpy_helper.to_array(tensor)
    return array


def test_from_file_to_file(tmp_path: Path) -> None:
    plain = saved(layers("small").model, tmp_path / "plain.onnx")
    calibration = Calibration(images("small").numpy(), "percentile", weight_bits=7)
    int8 = quantise_onnx(plain, tmp_path / "int8.onnx", calibration)
    weights = [_array(t) for t in opened(int8).graph.initializer if _array(t).dtype == np.int8]
    assert max(np.abs(w.astype(int)).max() for w in weights) <= 64
    report = fuse_onnx(int8, tmp_path / "fused.onnx", Fusing((2, 3), "5", mode="exact"))
    assert report.identical
    with pytest.raises(UsageError, match="--overwrite"):
        quantise_onnx(plain, int8, calibration)


@pytest.mark.skipif(
    "calibration_cache_path" not in signature(quantize_static).parameters,
    reason="this ONNX Runtime calibrates no layers as they run; there is no newer one for Python 3.10",
)
def test_blocked_layers_are_calibrated_and_cut_as_they_run(tmp_path: Path) -> None:
    x = images("small")[:1]
    blocked, _ = block_convert(network("small"), x, (2, 2), "hierarchical", "zeros")
    with torch.no_grad():
        wanted = blocked(x).numpy()
    calibration = Calibration(x.numpy())
    report = export_onnx(blocked, x, tmp_path / "x.onnx", fusing=Fusing(2, "5"), calibration=calibration)
    assert report.identical
    assert relative_error(outputs(report.path, x.numpy()), wanted) < 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "best"}, "minmax"),
        ({"weight_bits": 4}, "7 or 8"),
        ({"images": np.zeros((0, 3, 8, 8))}, "one or more"),
    ],
)
def test_refused_calibrations(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Calibration(**{"images": np.zeros((1, 3, 8, 8)), **arguments})  # type: ignore[arg-type]


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    plain = saved(layers("small").model, tmp_path / "plain.onnx")
    with pytest.raises(UsageError, match="the network reads"):
        quantise_onnx(plain, tmp_path / "int8.onnx", Calibration(np.zeros((1, 3, 8, 8))))


def test_a_mean_of_integers_in_the_middle_is_refused(tmp_path: Path) -> None:
    end = next(node.name for node in integers("pooled").model.graph.node if "Mul" in node.op_type)
    with pytest.raises(UsageError, match="mean of integers"):
        fused(integers("pooled"), tmp_path / "x.onnx", Fusing(2, end.removesuffix("_quant")))
