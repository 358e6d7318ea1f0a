from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.runtimes import torch_compiled


def test_every_network_of_one_class_is_compiled_for_its_own_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's compiler stops after eight of one class, and makes the second batch size a variable."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("eager")
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **how: plain(function, backend=counter, **how))

    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, width, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).relu()

    for count in range(1, 13):
        with torch.inference_mode():
            x = torch.randn(1 + count % 2, 3, 5, 5)
        call = torch_compiled.compiled(Net(count).eval(), x)
        with torch.inference_mode():
            assert call(x).shape == (1 + count % 2, count, 3, 3)
            call(x.clone())
        assert counter.frame_count == count
    sizes = [
        n.meta["example_value"].shape
        for graph in counter.graphs
        for n in graph.graph.nodes
        if n.op == "placeholder"
    ]
    assert all(isinstance(side, int) for shape in sizes for side in shape)


def test_its_other_name() -> None:
    assert RUNTIMES["compiled"] is RUNTIMES["compile"]
