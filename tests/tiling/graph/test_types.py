"""Images and outputs of other types than the network's: tiles give what the network gives, in its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.measure.memory import peak_memory
from blockzoo.models.agreement import deviation
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.planning.plan import ITEM_BYTES
from blockzoo.tiling.runtime.interpreter import Interpreter
from blockzoo.tiling.runtime.runner import TiledRunner


class Ways(nn.Module):
    """Two convolutions, used in some way."""

    def __init__(self, way: Callable[..., Any]) -> None:
        super().__init__()
        self.a, self.c, self.way = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1), way

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return self.way(self, x, *others)


def network(way: Callable[..., Any]) -> Ways:
    torch.manual_seed(0)
    return Ways(way).eval()


def in_tiles(model: nn.Module, x: Any, **options: Any) -> TiledRunner:
    last = traced(ready(model, x, True), x).operations[-1]
    plan = tiling.plan(model, x, mode="exact", grid=(3, 2), fuse_to=last.name, **options)
    assert plan.tiles >= 6
    return TiledRunner(model, plan)


OUTPUTS: dict[str, Callable[..., Any]] = {
    "bool": lambda m, x: m.c(m.a(x)) > 0,
    "int64": lambda m, x: (m.c(m.a(x)) * 1e6).long() * 2**30 + 1,
    "float64": lambda m, x: m.c(m.a(x)).double(),
    "float16": lambda m, x: m.c(m.a(x)).half(),
    "uint8": lambda m, x: (m.c(F.relu(m.a(x))) * 20).clamp(0, 255).to(torch.uint8),
    "double inside": lambda m, x: m.c(F.relu(m.a(x).double() * 2).float()) * 3,
    "two": lambda m, x: (lambda y: (y, y > 0))(m.c(m.a(x))),
}


@pytest.mark.parametrize("what", OUTPUTS)
@torch.no_grad()
def test_outputs_keep_their_type(what: str) -> None:
    model, x = network(OUTPUTS[what]), torch.randn(1, 3, 37, 29)
    wanted, got = model(x), in_tiles(model, x)(x)
    assert deviation(wanted, got, types=True) < (1e-3 if what == "float16" else 1e-5)


IMAGES: dict[str, tuple[torch.Tensor, Callable[..., Any]]] = {
    "uint8": (
        torch.randint(0, 256, (1, 3, 37, 29), dtype=torch.uint8),
        lambda m, x: m.c(F.relu(m.a(x.float() / 255))),
    ),
    "int64": (torch.randint(-9, 9, (1, 3, 37, 29)), lambda m, x: m.c(F.relu(m.a(x.float())))),
    "bool": (torch.rand(1, 3, 37, 29) > 0.5, lambda m, x: m.c(F.relu(m.a(x.float())))),
    "float16": (torch.randn(1, 3, 37, 29).half(), lambda m, x: m.c(F.relu(m.a(x.float())))),
    "float64": (torch.randn(1, 3, 37, 29).double(), lambda m, x: m.c(F.relu(m.a(x.float()))) + 1),
}


@pytest.mark.parametrize("what", IMAGES)
@torch.no_grad()
def test_images_of_other_types(what: str) -> None:
    x, way = IMAGES[what]
    model = network(way)
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact", grid=(3, 2), fuse_to="c"))
    assert deviation(model(x), runner(x), types=True) < 1e-5 and runner.checked is not None
    assert runner.plan.input_types == (what,)


@torch.no_grad()
def test_under_autocast_the_types_are_those_of_the_network() -> None:
    for way in (
        lambda m, x: m.c(F.relu(m.a(x))),
        lambda m, x: m.c(m.a(x) + x[:, :1]),
        lambda m, x: m.c(m.a(x)) > 9,
    ):
        model, x = network(way), torch.randn(1, 3, 37, 29)
        runner = in_tiles(model, x)
        with torch.autocast("cpu", torch.bfloat16):
            wanted, got = model(x), runner(x)
        assert wanted.dtype != torch.float32 and deviation(wanted, got, types=True) < 3e-2
        assert runner(x).dtype == model(x).dtype


@torch.no_grad()
def test_numbers_that_are_no_floats_beside_the_image() -> None:
    """An index, which is read from a table."""
    table = torch.randn(5, 8, 1, 1)
    model = network(lambda m, x, i: m.c(m.a(x) * table[i]))
    x, i = torch.randn(1, 3, 37, 29), torch.tensor([3])
    runner = TiledRunner(model, tiling.plan(model, [x, i], mode="exact", grid=(2, 2), fuse_to="c"))
    assert runner.plan.input_types == ("", "int64")
    assert deviation(model(x, i), runner(x, i), types=True) < 1e-5


def test_another_type_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Interpreter.outputs
    monkeypatch.setattr(Interpreter, "outputs", lambda self, values: real(self, values).float())
    model, x = network(OUTPUTS["bool"]), torch.randn(1, 3, 37, 29)
    with pytest.raises(CheckFailed, match="tiled-runner"):
        TiledRunner(model, tiling.plan(model, x, mode="exact"))


TYPES = {"float64": torch.float64, "bfloat16": torch.bfloat16, "float32": torch.float32}


@pytest.mark.parametrize("own", TYPES)
@pytest.mark.parametrize("what", ["bool", "float64", "two"])
@pytest.mark.parametrize("options", [{}, {"grid": (4, 4), "fuse_to": "c"}], ids=["planned", "in tiles"])
def test_memory_is_counted_in_the_bytes_of_each_value(own: str, what: str, options: dict[str, Any]) -> None:
    dtype = TYPES[own]
    model, x = network(OUTPUTS[what]).to(dtype), torch.randn(1, 3, 48, 40).to(dtype)
    plan = tiling.plan(model, x, mode="exact", **options)
    assert ITEM_BYTES[plan.dtype] == dtype.itemsize
    runner = TiledRunner(model, plan, check=False)
    if own != "bfloat16":  # whose convolutions take memory of their own
        assert peak_memory(runner, x) == plan.peak_bytes


def test_a_plan_in_another_format_is_refused() -> None:
    model, x = network(OUTPUTS["float64"]), torch.randn(1, 3, 37, 29)
    plan = tiling.plan(model, x, mode="exact", dtype="fp16")
    with pytest.raises(UsageError, match="counts fp16, and Ways is of float32"):
        TiledRunner(model, plan)
    assert TiledRunner(model.half(), plan, check=False).plan is plan


class Enlarged(nn.Module):
    def __init__(self, size: tuple[int, int], mode: str, align_corners: bool | None) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3)
        self.options: dict[str, Any] = {"size": size, "mode": mode, "align_corners": align_corners}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.interpolate(self.first(x), **self.options))  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype, most", [(torch.float64, 1e-14), (torch.float32, 1e-6)])
@pytest.mark.parametrize("mode, align_corners", [("bilinear", False), ("bilinear", True), ("bicubic", False)])
def test_interpolation_weighs_in_the_type_of_its_map(
    dtype: torch.dtype, most: float, mode: str, align_corners: bool
) -> None:
    model = Enlarged((33, 29), mode, align_corners).to(dtype).eval()
    x = torch.randn(1, 3, 20, 18, dtype=dtype)
    plan = tiling.plan(model, x, grid=(3, 3), fuse_to="last", mode="exact")
    with torch.no_grad():
        assert deviation(model(x), TiledRunner(model, plan)(x)) <= most
