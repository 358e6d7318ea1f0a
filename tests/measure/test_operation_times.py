"""Times of single operations stand with what was counted of them, beside the time of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo.core.errors import CheckFailed
from blockzoo.core.roofline import Operation
from blockzoo.measure.contenders import Contender, Setting
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.operation_times import TimedCall, break_down, check_timed_operations, readings

CPU = torch.device("cpu")
FEW = Schedule(1, 4, 10.0)


def network() -> nn.Module:
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 6 * 6, 4)
    return nn.Sequential(*layers).eval()


def test_each_operation_has_a_time_a_call() -> None:
    contender = Contender("net", "network", network(), (1, 3, 8, 8), 0.5)
    (made,) = break_down(Setting(CPU, batch_size=2), [contender], Clock(CPU), FEW)
    names = [one.operation.name for one in made.timed]
    assert names == ["aten.convolution", "aten.relu_", "aten.view", "aten.t", "aten.addmm"]
    assert all(len(one.samples_ms) == 4 and min(one.samples_ms) > 0 for one in made.timed)
    assert len(made.whole_ms) == len(made.watched_ms) == 4
    assert sum(sample[0] for sample in [one.samples_ms for one in made.timed]) <= sum(made.watched_ms)
    assert (made.subject, made.part, made.batch_size, made.checked) == ("net", "network", 2, 0.5)
    assert made.timed[0].operation.macs == 2 * 8 * 3 * 9 * 36


def test_networks_take_turns() -> None:
    contenders = [Contender(name, "network", network(), (1, 3, 8, 8)) for name in ("a", "b")]
    made = break_down(Setting(CPU), contenders, Clock(CPU), FEW)
    assert [one.subject for one in made] == ["a", "b"]
    assert made[0].whole_ms != made[1].whole_ms


def test_the_fast_path_of_attention_is_taken_apart_and_comes_back() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert torch.backends.mha.get_fastpath_enabled()
    contender = Contender("encoder", "network", layer, (1, 5, 8))
    (made,) = break_down(Setting(CPU), [contender], Clock(CPU), Schedule(0, 2, 10.0))
    assert "attention" in {one.operation.kind for one in made.timed}
    assert torch.backends.mha.get_fastpath_enabled()


def test_bfloat16_moves_half_the_bytes() -> None:
    contender = Contender("net", "network", network(), (1, 3, 8, 8))
    plain, half = (
        break_down(Setting(CPU, dtype), [contender], Clock(CPU), Schedule(0, 2, 10.0))[0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert plain.all.bytes_moved == 2 * half.all.bytes_moved and plain.all.macs == half.all.macs


class Growing(nn.Module):
    """Does more at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        for _ in range(self.calls):
            x = x + 1
        return x


@pytest.mark.mutation("timed-operations")
def test_a_network_that_changes_from_call_to_call_is_refused() -> None:
    counted = [Operation("", name, "norms", 0, 0, 0) for name in ("aten.add", "aten.mul")]
    assert (
        check_timed_operations("x", counted, [TimedCall("aten.add", 0.1), TimedCall("aten.mul", 0.1)]) == 0.0
    )
    with pytest.raises(CheckFailed, match=r"operation 2 was aten.mul when .* and none when"):
        check_timed_operations("x", counted, [TimedCall("aten.add", 0.1)])
    with pytest.raises(CheckFailed, match=r"operation 1 was aten.add .* and aten.mul"):
        check_timed_operations("x", counted, [TimedCall("aten.mul", 0.1), TimedCall("aten.add", 0.1)])
    with pytest.raises(CheckFailed, match="from call to call"):
        break_down(Setting(CPU), [Contender("growing", "network", Growing(), (1, 3))], Clock(CPU), FEW)


def test_a_stopwatch_hears_what_is_called_and_gives_it_back() -> None:
    outputs = []
    heard = readings(lambda: outputs.append(torch.ones(2) + torch.ones(2)), Clock(CPU))
    assert [reading.name for reading in heard] == ["aten.ones", "aten.ones", "aten.add"]
    assert outputs[0].tolist() == [2.0, 2.0]
