from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.benchmark import benchmark_block
from blockzoo.core.errors import UsageError
from blockzoo.measure import onnx_files
from blockzoo.measure.contenders import Contender, Failure, Setting
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.runtimes.onnx_runtime import _session_options
from blockzoo.measure.timings import timings_of

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -c constraints.txt -e '.[onnx]'")
pytest.importorskip("onnxscript", reason="pip install -c constraints.txt -e '.[onnx]'")


class Two(nn.Module):
    """Gives a mapping of a map and a class, and whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        y = self.conv(x)
        return {"map": y, "others": (y.mean((2, 3)), y.flatten(1).argmax(1))}


def test_what_it_gives_and_that_a_network_is_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exports = []
    plain = onnx_files.onnx_program
    monkeypatch.setattr(onnx_files, "onnx_program", lambda *given: exports.append(1) or plain(*given))
    place = torch.device("cpu")
    timings = timings_of(
        [Setting(place), Setting(place, runtime="onnxruntime")],
        [Contender("two", "network", Two().eval(), (1, 3, 6, 6))],
        Clock(place),
        Schedule(0, 3),
        Deadline(None),
    )
    assert [t.way.runtime for t in timings] == ["eager", "onnxruntime"]
    assert timings[1].from_eager is not None and timings[1].from_eager < 1e-5
    assert len(exports) == 1, "the reference is a second session of one model"


def test_inputs_and_outputs_stay_where_they_are() -> None:
    model, x = nn.Conv2d(3, 4, 3).eval(), torch.randn(2, 3, 6, 6)
    call = RUNTIMES["onnxruntime"](model, x)
    first: Any = call(x)
    other = torch.randn(2, 3, 6, 6)
    kept = x.clone()
    assert torch.allclose(call(other), model(other), atol=1e-5)  # type: ignore[arg-type]
    assert torch.equal(x, kept), "the example is not written to"
    x.mul_(2)
    again: Any = call(x)
    assert again.data_ptr() == first.data_ptr() and torch.allclose(again, model(x), atol=1e-5)


def test_its_threads_are_as_many_as_torch_has_and_do_not_spin() -> None:
    options = _session_options(onnxruntime)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == torch.get_num_threads() and options.use_per_session_threads


def test_what_it_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, model, x = RUNTIMES["onnxruntime"], nn.Conv2d(3, 4, 3), torch.randn(1, 3, 6, 6)
    with pytest.raises(UsageError, match=r"no convolutions of bfloat16 .*--dtypes fp32"):
        runtime(model.bfloat16(), x.bfloat16())
    with pytest.raises(UsageError, match="--memory-format contiguous"):
        runtime(model.float(), x.contiguous(memory_format=torch.channels_last))
    on_gpu: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32, is_contiguous=lambda: True)
    with pytest.raises(UsageError, match=r"no CUDAExecutionProvider: take --device cpu"):
        runtime(model, on_gpu)

    class Texts(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x, "text"

    with pytest.raises(UsageError, match="Texts cannot be exported to ONNX: it returns str"):
        runtime(Texts(), x)
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"pip install -c .*constraints.txt -e .*\[onnx\]"):
        runtime(model, x)


@pytest.mark.mutation("other-runtime")
def test_a_file_of_another_network_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = onnx_files.onnx_program

    def wrong(model: nn.Module, given: Any) -> Any:
        with torch.no_grad():
            next(model.parameters()).mul_(1.001)
        return plain(model, given)

    monkeypatch.setattr(onnx_files, "onnx_program", wrong)
    place, failures = torch.device("cpu"), list[Failure]()
    contenders = [Contender("conv", "network", nn.Conv2d(3, 4, 3).eval(), (1, 3, 6, 6))]
    settings = [Setting(place, runtime="onnxruntime")]
    assert timings_of(settings, contenders, Clock(place), Schedule(0, 3), Deadline(None), failures) == []
    assert "check 'other-runtime' failed" in failures[0].reason


@pytest.mark.slow
def test_blocks_of_the_zoo_beside_eager() -> None:
    blocks = ["ResNetBasicBlock", "MobileOneBlock", "RepMixer", "GhostBottleneckV3", "MBConvLNBlock"]
    timed = benchmark_block(
        blocks, "mid", base_channels=4, num_blocks=1, batch_sizes=(1, 16), device="cpu", benchmark_runs=6,
        runtimes=("eager", "onnxruntime"),
    )  # fmt: skip
    assert not timed.failures and len(timed.timings) == 5 * 2 * 2 * 2
    assert len(timed.orders()) == 2
    assert all(
        t.from_eager is not None and t.from_eager < 1e-3 for t in timed.timings if t.way.runtime != "eager"
    )
