"""What a network would get wrong in a training is said before the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.training.tryout import tried

SOURCE = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, num_classes)
    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

class Keeps(Plain):
    def forward(self, x):
        if self.training:
            return super().forward(x)
        self.kept = getattr(self, "kept", self.head.weight.detach().clone())
        return nn.functional.linear(self.conv(x).mean((2, 3)), self.kept, self.head.bias)

class Mixes(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.middle = Middle()
    def forward(self, x):
        return self.head(self.middle(self.conv(x)).mean((2, 3)))

class Middle(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(4))
    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.centre.lerp_(x.mean((0, 2, 3)), .1)
        return x - self.centre.clone()[:, None, None]
"""


def network(tmp_path: Path, name: str) -> NetworkSpec:
    file = tmp_path / "tried_networks.py"
    file.write_text(SOURCE)
    return NetworkSpec(f"{file}:{name}", out_dim=10)


def test_weights_that_are_kept_are_refused(tmp_path: Path) -> None:
    assert tried(network(tmp_path, "Plain"), (3, 8, 8), 10) == ""
    with pytest.raises(UsageError, match="Keeps is not trained: it does not follow its weights"):
        tried(network(tmp_path, "Keeps"), (3, 8, 8), 10)


def test_the_number_format_of_the_training_is_tried(tmp_path: Path) -> None:
    assert tried(network(tmp_path, "Plain"), (3, 8, 8), 10, torch.bfloat16) == ""
    assert tried(network(tmp_path, "Mixes"), (3, 8, 8), 10) == ""
    with pytest.raises(UsageError, match=r"in training under autocast in bfloat16 .*in middle \(Middle\)"):
        tried(network(tmp_path, "Mixes"), (3, 8, 8), 10, torch.bfloat16)
