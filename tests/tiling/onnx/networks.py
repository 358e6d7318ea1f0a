"""Networks that the tests export, once for each."""

from __future__ import annotations

from functools import cache

import torch
import torchvision
from torch import nn

from blockzoo.tiling.onnx.export import onnx_layers
from blockzoo.tiling.onnx.fuse import Layers
from blockzoo.tiling.onnx.quantise import Calibration, quantised

SIDES = {"resnet18": 64, "mobilenet_v2": 48, "small": 22, "pooled": 32, "residual": 32}
STAGES = {
    "resnet18": ((4, 4), "layer2", (2, 2), "layer1"),
    "mobilenet_v2": ((3, 2), "features.6", (2, 2), "features.3"),
    "small": ((3, 2), "5", (2, 3), "5"),
}
"""Of each network: tiles and end of a stage of independent tiles, and of an exact one."""


@cache
def network(name: str) -> nn.Module:
    """In evaluation mode; running statistics as after some training."""
    torch.manual_seed(0)
    if name == "small":
        made: nn.Module = Small()
    elif name == "pooled":
        made = Pooled()
    elif name == "residual":
        made = Residual()
    else:
        made = torchvision.models.get_model(name, num_classes=10)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
    return made.eval()


@cache
def images(name: str, count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, SIDES[name], SIDES[name], generator=torch.Generator().manual_seed(1))


@cache
def layers(name: str) -> Layers:
    return onnx_layers(network(name), images(name)[:1])


@cache
def integers(name: str) -> Layers:
    return quantised(layers(name), Calibration(images(name).numpy()))


class Small(nn.Sequential):
    """Kernels, strides and sizes that do not fit one another."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.AvgPool2d(3, 1, 1, count_include_pad=False),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(8, 12, (1, 3), stride=2, padding=(0, 1)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 5),
        )


class Pooled(nn.Module):
    """A mean of the whole map in the middle, as in squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 3, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.last(x).mean((2, 3))


class Residual(nn.Module):
    """A pool, then a sum: its plan of least memory needs less as a file than it is counted with before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.last(torch.relu(x + self.two(torch.relu(self.one(x)))))
