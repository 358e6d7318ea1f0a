"""Networks that keep something from one call for the next: named, where a graph of one call would lose it in silence."""

from __future__ import annotations

import itertools
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.models.tracing import trace

X = torch.randn(1, 3, 9, 8)


class Keeping(nn.Module):
    """One convolution and a way to keep something."""

    m: torch.Tensor | None

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.way, self.count = nn.Conv2d(3, 8, 3, padding=1), way, 0
        if way in ("buffer", "counter"):
            self.register_buffer("m", torch.zeros(1, 8, 1, 1))
        else:
            self.m = torch.zeros(1, 8, 1, 1) if way in ("attribute", "features again") else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        if self.way in ("buffer", "attribute"):
            self.m = 0.5 * self.m + y.mean((2, 3), keepdim=True)
            return y - self.m
        if self.way == "counter":
            self.m = self.m + 1
            return y * self.m
        if self.way == "first call":
            if self.m is None:
                self.m = 1 / y.abs().amax()
            return y * self.m
        if self.way == "number":
            self.count += 1
            return y * self.count
        if self.way.startswith("features"):
            self.m = y
            self.count = x.shape[2]
        if self.way == "grid":
            if self.m is None:
                self.m = torch.arange(8.0)
            return y * self.m
        return y


@pytest.mark.parametrize("way", ["buffer", "attribute", "counter", "first call", "number"])
def test_what_the_next_call_reads_is_named(way: str) -> None:
    name = "count" if way == "number" else "m"
    with pytest.raises(UsageError, match=f"Keeping cannot be traced: it assigns {name} in its forward"):
        trace(Keeping(way).eval(), [X])


@pytest.mark.parametrize("way", ["features", "features again", "plain"])
def test_what_no_call_reads_is_left_alone(way: str) -> None:
    names = [n.name for n in trace(Keeping(way).eval(), [X]).graph.nodes if n.op == "call_function"]
    assert names[0] == "conv2d"


def test_what_does_not_depend_on_the_image_may_be_kept() -> None:
    network = Keeping("grid").eval()
    assert trace(network, [X]).calls and network.m is None
    network(X)
    assert trace(network, [X]).calls


FRAMES = 0


class EveryEighth(nn.Module):
    """Refines every eighth frame, which it counts in one way or another: two calls of it look alike."""

    frames = 0

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.way = nn.Conv2d(3, 3, 3, padding=1), way
        self.list, self.dict, self.count = [0], {"frames": [0]}, itertools.count()
        self.object, self.frame, self.called = SimpleNamespace(frames=0), 0, False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        global FRAMES
        frames = 0
        if self.way == "attribute":
            self.frame += 1
            frames = self.frame
        if self.way == "list":
            self.list[0] += 1
            frames = self.list[0]
        if self.way == "dict":
            self.dict["frames"][0] += 1
            frames = self.dict["frames"][0]
        if self.way == "count":
            frames = next(self.count)
        if self.way == "object":
            self.object.frames += 1
            frames = self.object.frames
        if self.way == "class":
            EveryEighth.frames += 1
            frames = self.frames
        if self.way == "file":
            FRAMES += 1
            frames = FRAMES
        self.called = True
        y = self.a(x)
        return self.a(y) if frames % 8 == 7 else y


@pytest.mark.parametrize("way", ["attribute", "list", "dict", "count", "object", "class", "file"])
def test_a_number_that_is_another_after_each_call_is_named(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"attribute": "frame", "class": "EveryEighth.frames", "file": f"{__name__}.FRAMES"}
    monkeypatch.setattr(EveryEighth, "frames", 0)
    monkeypatch.setattr(sys.modules[__name__], "FRAMES", 0)
    says = f"EveryEighth cannot be traced: it assigns {names.get(way, way)}.* another value in each call"
    with pytest.raises(UsageError, match=says):
        trace(EveryEighth(way).eval(), [X])


def test_a_number_that_stays_after_the_first_call_is_left_alone() -> None:
    assert trace(EveryEighth("plain").eval(), [X]).calls
