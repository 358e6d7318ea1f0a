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
import torch.utils.checkpoint
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

class OfTheBatch(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)
    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean((2, 3)) + self.conv(x).mean((2, 3)))

class WithChance(Plain):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.5))

class Reentrant(Plain):
    def forward(self, x):
        return self.head(torch.utils.checkpoint.checkpoint(self.conv, x * 1, use_reentrant=True).mean((2, 3)))

class Broken(Plain):
    def forward(self, x):
        return Nothing.apply(super().forward(x))

class Nothing(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 1
    @staticmethod
    def backward(context, gradient):
        raise RuntimeError("no way back")

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


def test_what_an_evaluation_depends_on_besides_the_image_is_said(tmp_path: Path) -> None:
    assert "another output when others are in its batch" in tried(
        network(tmp_path, "OfTheBatch"), (3, 8, 8), 10
    )
    assert "two calls with the same images" in tried(network(tmp_path, "WithChance"), (3, 8, 8), 10)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_gradients_are_looked_for_as_a_training_does(tmp_path: Path) -> None:
    said = tried(network(tmp_path, "Reentrant"), (3, 8, 8), 10)
    assert (
        said == "112 parameters take no part in it and are not trained"
    )  # 3 * 4 * 9 + 4: its input needs no gradient
    with pytest.raises(UsageError, match=r"Broken has no gradient \(no way back"):
        tried(network(tmp_path, "Broken"), (3, 8, 8), 10)
