from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.other_runtimes import check_runtime


@pytest.fixture
def openvino() -> Any:
    return pytest.importorskip("openvino", reason="pip install -c constraints.txt -e '.[openvino]'")


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"OpenVINO need openvino.*-e '.*\[openvino\]'"):
        RUNTIMES["openvino"](nn.Conv2d(3, 4, 3), torch.randn(1, 3, 6, 6))


def test_what_it_gives_and_how_it_is_asked(openvino: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}
    plain = openvino.Core.compile_model

    def compile_model(self: Any, model: Any, device: str, config: dict[str, str]) -> Any:
        asked.update(config)
        return plain(self, model, device, config)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU()).eval(), torch.randn(2, 3, 6, 6)
    call: Any = RUNTIMES["openvino"](model, x)
    assert asked["PERFORMANCE_HINT"] == "LATENCY" and asked["INFERENCE_PRECISION_HINT"] == "f32"
    assert asked["INFERENCE_NUM_THREADS"] == str(torch.get_num_threads())
    assert check_runtime(model, call, x, "x") < 1e-4
    x.mul_(2)
    first = call(x)
    assert torch.allclose(first, model(x), atol=1e-4) and call(x).data_ptr() == first.data_ptr()


def test_numbers_that_the_processor_does_not_have_are_refused(
    openvino: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it says that it has them and computes in others."""
    model, x = nn.Conv2d(3, 4, 3).to(torch.bfloat16).eval(), torch.randn(1, 3, 6, 6).bfloat16()
    has: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" in has:
        assert check_runtime(model, RUNTIMES["openvino"](model, x), x, "x") < 5e-2
        return
    with pytest.raises(UsageError, match="no bf16 on this processor: --dtypes fp32"):
        RUNTIMES["openvino"](model, x)
    monkeypatch.setattr(openvino.Core, "get_property", lambda self, device, name: [*has, "BF16"])
    with pytest.raises(UsageError, match="would compute in f32 in place of bf16"):
        RUNTIMES["openvino"](model, x)


def test_a_gpu_and_channels_last_are_refused() -> None:
    x = torch.randn(1, 3, 6, 6)
    with pytest.raises(UsageError, match="--memory-format contiguous"):
        RUNTIMES["openvino"](nn.Conv2d(3, 4, 3), x.contiguous(memory_format=torch.channels_last))
    with pytest.raises(UsageError, match="--device cpu"):
        RUNTIMES["openvino"](nn.Conv2d(3, 4, 3), x.to("meta"))
