"""What the hardware needs: layers whose kernels would end the process."""

from __future__ import annotations

import copy
import subprocess
import sys

import torch
from torch import nn

from blockzoo.training import hardware

BACKWARD = """
import torch
from torch import nn
from blockzoo.training.hardware import keep_narrow_strided_convolutions_whole
torch.set_num_threads(1)
layer = nn.Conv2d(4, 8, 1, 2, bias=False).to(memory_format=torch.channels_last)
layer = keep_narrow_strided_convolutions_whole(nn.Sequential(layer))
for _ in range(40):
    x = torch.randn(64, 4, 8, 8, requires_grad=True).to(memory_format=torch.channels_last)
    layer(x).square().sum().backward()
    kept = [torch.randn(n) for n in (10, 64, 100, 300, 1000, 10000)]
"""


def test_a_narrow_strided_convolution_does_not_end_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", BACKWARD], capture_output=True).returncode == 0


def test_the_kept_pixels_give_the_same_values_and_gradients(monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    plain = nn.Sequential(nn.Conv2d(4, 6, 1, (2, 3)), nn.Conv2d(6, 8, 3, 2), nn.Conv2d(8, 4, 1, 2))
    kept = hardware.keep_narrow_strided_convolutions_whole(copy.deepcopy(plain))
    x = torch.randn(2, 4, 17, 25)
    torch.testing.assert_close(kept(x), plain(x))
    for network in (plain, kept):
        network(x).square().sum().backward()
    for ours, theirs in zip(kept.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert ["forward" in vars(layer) for layer in kept] == [True, False, False]
