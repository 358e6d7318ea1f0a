"""ONNX files, layer by layer and fused: the network's own result, tile by tile, in the memory that was planned."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.tiling import TiledRunner, block_convert, plan
from tests.tiling.onnx.networks import STAGES, images, integers, layers, network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from blockzoo.tiling.onnx.export import export_onnx, onnx_layers  # noqa: E402
from blockzoo.tiling.onnx.files import opened, saved  # noqa: E402
from blockzoo.tiling.onnx.fuse import Fusing, Layers, fuse_onnx, fused  # noqa: E402
from blockzoo.tiling.onnx.normalise import normalised  # noqa: E402
from blockzoo.tiling.onnx.quantise import Calibration, quantised  # noqa: E402
from blockzoo.tiling.onnx.session import executed, outputs, relative_error  # noqa: E402
from tests.sampled import sampled  # noqa: E402

SMALLEST = 1e-5
NETWORKS = ("resnet18", "mobilenet_v2", "small")


def truth(name: str) -> np.ndarray:
    with torch.no_grad():
        return network(name)(images(name)).numpy()


@pytest.mark.parametrize("name", sampled([*NETWORKS, "pooled"], ["small", "pooled"]))
def test_layer_by_layer_as_in_torch(name: str) -> None:
    got = outputs(layers(name).one_by_one(), images(name).numpy())
    assert relative_error(got, truth(name)) < SMALLEST


@pytest.mark.parametrize("name", sampled(NETWORKS, ["small"]))
def test_fused_exactly_is_the_network(name: str, tmp_path: Path) -> None:
    _, _, grid, end = STAGES[name]
    report = fused(layers(name), tmp_path / "x.onnx", Fusing(grid, end, mode="exact"), images(name).numpy())
    assert report.max_error < SMALLEST
    assert report.tiles == grid[0] * grid[1]
    for optimised in (True, False):
        got = outputs(report.path, images(name).numpy(), optimised=optimised)
        assert relative_error(got, truth(name)) < SMALLEST


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_fused_in_blocks_is_what_the_executor_computes(name: str, tmp_path: Path) -> None:
    grid, end, _, _ = STAGES[name]
    report = fused(layers(name), tmp_path / "x.onnx", Fusing(grid, end), images(name).numpy())
    assert report.max_error < SMALLEST
    planned = plan(network(name), images(name)[:1], grid=grid, fuse_to=end)
    wanted = TiledRunner(network(name), planned)(images(name)).numpy()
    assert relative_error(outputs(report.path, images(name).numpy()), wanted) < SMALLEST


def test_one_tile_is_the_network() -> None:
    made = layers("small").in_tiles(layers("small").planned(Fusing(1, "5")))
    assert relative_error(outputs(made, images("small").numpy()), truth("small")) < SMALLEST
    assert not [node for node in made.graph.node if node.op_type in ("Slice", "Concat")]


def test_mean_in_the_middle_is_a_sum_of_tiles() -> None:
    fusing = Fusing(2, "mul", mode="exact")
    made = layers("pooled").in_tiles(layers("pooled").planned(fusing))
    assert relative_error(outputs(made, images("pooled").numpy()), truth("pooled")) < SMALLEST
    assert {"ReduceSum", "Div"} <= {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("made_of", sampled([layers, integers], 0), ids=["floats", "integers"])
def test_tiles_run_one_after_the_other_in_little_memory(made_of: Any) -> None:
    built = made_of("resnet18")
    grid, end, _, _ = STAGES["resnet18"]
    planned = built.planned(Fusing(grid, end))
    run = executed(built.in_tiles(planned))
    layer = re.compile(r"(?:conv|add|maxpool|relu).*/(\d+\.\d+)$")
    tiles = [match[1] for name in run.order if (match := layer.search(name))]
    assert len(list(groupby(tiles))) == len(set(tiles)) == 16
    assert run.peak_bytes <= planned.peak_bytes
    assert run.peak_bytes < executed(built.model).peak_bytes / 3


@pytest.mark.slow
def test_weights_are_shared(tmp_path: Path) -> None:
    plain = saved(layers("resnet18").model, tmp_path / "plain.onnx")
    report = fuse_onnx(plain, tmp_path / "fused.onnx", Fusing(4, "layer2"))
    assert report.path.stat().st_size < 1.02 * plain.stat().st_size


def test_live_bytes_of_a_chain_by_hand() -> None:
    """Three maps of 4, 2 and 2 kB, a relu that writes over the second: the first two stand together."""
    node = onnx.helper.make_node
    image = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 16, 16])
    result = onnx.helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, None)
    nodes = [
        node("Concat", ["x", "x"], ["a"], axis=1, name="a"),
        node("MaxPool", ["a"], ["b"], kernel_shape=[1, 2], strides=[1, 2], name="b"),
        node("Relu", ["b"], ["c"], name="c"),
        node("Flatten", ["c"], ["d"], name="d"),
    ]
    graph = onnx.helper.make_graph(nodes, "chain", [image], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    execution = executed(model)
    assert execution.order == ("a", "b", "c", "d")
    assert execution.peak_bytes == 4 * (4 + 2) * 256


@pytest.mark.parametrize("name", sampled(["resnet18", "mobilenet_v2"], 1))
def test_a_budget_is_kept_by_what_onnx_runtime_runs(name: str, tmp_path: Path) -> None:
    report = fused(integers(name), tmp_path / "x.onnx", Fusing(budget="40KiB"))
    assert report.peak_bytes <= 40 * 1024 < report.layer_by_layer_bytes
    assert executed(opened(report.path)).peak_bytes == report.peak_bytes


@pytest.mark.slow
def test_blocked_layers_keep_their_tiles(tmp_path: Path) -> None:
    x = images("small")[:1]
    blocked, _ = block_convert(network("small"), x, (2, 2), "hierarchical", "reflect")
    with torch.no_grad():
        wanted = blocked(x).numpy()
    whole = export_onnx(blocked, x, tmp_path / "whole.onnx")
    assert whole.max_error < SMALLEST
    report = export_onnx(blocked, x, tmp_path / "fused.onnx", fusing=Fusing(2, "5", mode="exact"))
    assert relative_error(outputs(report.path, x.numpy()), wanted) < SMALLEST
    assert report.peak_bytes < whole.peak_bytes


@pytest.mark.parametrize(
    ("fusing", "words"),
    [
        (lambda: Fusing(2), "belong together"),
        (lambda: Fusing(), "say what to fuse"),
        (lambda: Fusing(2, "5", "1MiB"), "say what to fuse"),
        (lambda: Fusing(0, "5"), "1 or more tiles"),
        (lambda: Fusing(2, "5", mode="fast"), "block or exact"),  # type: ignore[arg-type]
        (lambda: Fusing(2, "nowhere"), "no operation"),
        (lambda: Fusing(budget="1KiB"), "the least is"),
        (lambda: Fusing(budget="much"), "256KiB"),
    ],
)
def test_refused_requests(fusing: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        fused(layers("small"), tmp_path / "x.onnx", fusing())
    assert not list(tmp_path.iterdir())


def test_an_operation_that_cannot_be_cut_is_named(tmp_path: Path) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).transpose(2, 3))

    with pytest.raises(UsageError, match=r"Transpose is not local"):
        export_onnx(Turned(), torch.randn(1, 3, 8, 8), tmp_path / "x.onnx", fusing=Fusing(2, "last"))


def test_files_that_are_there_damaged_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(UsageError, match="no such file"):
        opened(path)
    saved(layers("small").model, path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="--overwrite"):
        fuse_onnx(path, path, Fusing(2, "5"))
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(UsageError, match="damaged"):
        fuse_onnx(path, tmp_path / "y.onnx", Fusing(2, "5"))
    assert [file.name for file in tmp_path.iterdir()] == ["x.onnx"]


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"pip install -c .*constraints.txt -e .*\[onnx\]"):
        export_onnx(network("small"), images("small")[:1], tmp_path / "x.onnx")


def test_a_split_is_cut_as_slices_of_channels() -> None:
    node = onnx.helper.make_node
    image = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4, 8, 8])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 8, 8])
    sizes = onnx.numpy_helper.from_array(np.array([1, 3]), "sizes")
    nodes = [
        node("Split", ["x", "sizes"], ["a", "b"], axis=1, name="split"),
        node("Relu", ["a"], ["c"], name="relu"),
        node("Concat", ["b", "c"], ["y"], axis=1, name="joined"),
    ]
    graph = onnx.helper.make_graph(nodes, "split", [image], [result], [sizes])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    layered = Layers(normalised(model))
    x = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
    made = layered.in_tiles(layered.planned(Fusing(2, "joined")))
    assert np.array_equal(outputs(made, x), outputs(model, x))


RESIDENT = """
import sys
import numpy as np
import onnxruntime as runtime

def status(key):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])

options = runtime.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = runtime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(source,) = session.get_inputs()
image = np.zeros(source.shape, np.float32)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
session.run(None, {source.name: image})
print(status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize("integer", [False, True], ids=["floats", "integers"])
def test_resident_memory_of_a_process_falls_too(integer: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = torchvision.models.resnet18().eval(), torch.randn(1, 3, 448, 448)
    layered = onnx_layers(model, x)
    layered = quantised(layered, Calibration(x.numpy())) if integer else layered
    plain = saved(layered.model, tmp_path / "plain.onnx")
    report = fused(layered, tmp_path / "fused.onnx", Fusing(8, "layer2"), x.numpy())
    grown = [
        int(
            subprocess.run(
                [sys.executable, "-c", RESIDENT, str(path)], capture_output=True, check=True
            ).stdout
        )
        for path in (plain, report.path)
    ]
    print(f"resident: layer by layer {grown[0]}, fused {grown[1]} bytes; {report}")
    assert grown[1] < grown[0] / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "squeezenet1_1", "densenet121", "googlenet"])
def test_more_of_torchvision(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = (
        torchvision.models.get_model(name, num_classes=10, weights=None).eval(),
        torch.randn(1, 3, 96, 96),
    )
    plain = export_onnx(model, x, tmp_path / "x.onnx")
    assert plain.max_error < SMALLEST
    least = 0.8 * plain.peak_bytes
    report = fuse_onnx(plain.path, tmp_path / "y.onnx", Fusing(budget=int(least), mode="exact"))
    assert report.peak_bytes <= least
    assert report.max_error < SMALLEST
