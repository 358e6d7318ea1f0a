"""What a traced operation may be given besides tensors: numbers and names are followed, objects refused in words."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.models.deploy import deployed


class Axis(enum.IntEnum):
    CHANNELS = 1


class How(str, enum.Enum):
    NEAREST = "nearest"


class Network(nn.Module):
    """Two convolutions, and what a function makes of the map between them."""

    def __init__(self, made: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.made, self.generator = nn.BatchNorm2d(8), made, torch.Generator()
        self.matrix = torch.eye(16).to_sparse()
        self.packed: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(F.relu(self.made(self, self.norm(self.first(x)))))
        return y


IMAGE = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)

CONSTANTS: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "an enum": lambda self, y: y.sum(Axis.CHANNELS, keepdim=True) + y * Axis.CHANNELS,
    "an enum of names": lambda self, y: F.interpolate(y, scale_factor=2, mode=How.NEAREST),
    "types": lambda self, y: y.to(torch.float64).sum(1, dtype=torch.float32, keepdim=True) + y,
    "a device": lambda self, y: y.to(torch.device("cpu")) + torch.ones(8, 1, 1, device=torch.device("cpu")),
    "layouts": lambda self, y: y.contiguous(memory_format=torch.channels_last) + torch.ones(8, 1, 1, layout=torch.strided),
    "nothing": lambda self, y: y.clamp(None, 3.0)[None][0],
    "complex numbers": lambda self, y: (y * (1 + 2j)).abs() + torch.full_like(y, 1j, dtype=torch.complex64).imag,
    "infinities": lambda self, y: y.clamp(-float("inf"), float("inf")).nan_to_num(float("nan")),
    "truths": lambda self, y: y + torch.tensor([True, False] * 4).view(8, 1, 1),
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("what", CONSTANTS)
def test_constants_are_followed(what: str) -> None:
    network = Network(CONSTANTS[what]).eval()
    runner = tiling.TiledRunner(network, tiling.plan(network, IMAGE, mode="exact"))
    torch.testing.assert_close(runner(IMAGE), network(IMAGE))


def _fresh(self: Any, y: torch.Tensor) -> torch.Tensor:
    return y + torch.randn((8, 1, 1), generator=torch.Generator().manual_seed(0))


def _packed(self: Any, y: torch.Tensor) -> torch.Tensor:
    if self.packed is None:
        weight = torch.quantize_per_tensor(torch.eye(16), 0.1, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(weight, torch.zeros(16))
    made: torch.Tensor = torch.ops.quantized.linear_dynamic(y, self.packed)
    return made


def _conditional(self: Any, y: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = torch.cond(torch.tensor(True), lambda a: a + 1, lambda a: a - 1, (y,))
    return made


GENERATOR = (
    "takes a torch.Generator; draw from torch's own generator, or make what is drawn a buffer or an input"
)
SPARSE = "makes or takes a sparse_coo tensor; use a dense one"
OBJECTS: dict[str, tuple[Callable[[Any, torch.Tensor], torch.Tensor], str]] = {
    "a fresh generator": (_fresh, f"aten.randn.generator {GENERATOR}"),
    "its generator": (lambda self, y: y + torch.rand((8, 1, 1), generator=self.generator), GENERATOR),
    "drawn of a map": (lambda self, y: torch.bernoulli(y.sigmoid(), generator=self.generator), GENERATOR),
    "drawn in place": (lambda self, y: y + torch.empty(8, 1, 1).normal_(generator=self.generator), GENERATOR),
    "packed weights": (
        _packed,
        "quantized.linear_dynamic.default takes weights that are packed in an object",
    ),
    "functions": (_conditional, "cond takes a function; write what it does into the forward pass"),
    "made sparse": (lambda self, y: y + torch.eye(16).to_sparse().to_dense(), SPARSE),
    "a sparse constant": (lambda self, y: y + (self.matrix @ torch.eye(16)), f"aten.matmul.default {SPARSE}"),
}


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", OBJECTS)
def test_objects_are_refused_by_name(what: str) -> None:
    made, says = OBJECTS[what]
    network = Network(made).eval()
    expected = network(IMAGE).shape  # it runs
    with pytest.raises(UsageError) as caught:
        tiling.plan(network, IMAGE, mode="exact")
    assert says in str(caught.value) and str(caught.value).startswith("Network cannot be run in tiles: ")
    assert deployed(network, IMAGE)(IMAGE).shape == expected  # which needs no values of them
