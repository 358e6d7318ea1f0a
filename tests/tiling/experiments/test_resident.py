"""What the operating system and a GPU's allocator see shrinks as the count of live tensors says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from blockzoo import tiling

SCRIPT = """
import sys
from pathlib import Path

import torch, torchvision
from blockzoo import tiling


def most_resident():  # ru_maxrss would begin with what the parent of this process had
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


side, tiled = int(sys.argv[1]), sys.argv[2] == "tiled"
torch.set_num_threads(1)
model, small = torchvision.models.resnet18().eval(), torch.zeros(1, 3, 64, 64)
image = torch.zeros(1, 3, side, side)
run = tiling.TiledRunner(model, tiling.plan(model, image, grid=8, fuse_to="layer2")) if tiled else model
with torch.no_grad():
    model(small)
    before = most_resident()
    run(image)
print((most_resident() - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read in /proc")
def test_resident_memory_of_a_process() -> None:
    grown = {}
    for way in ("plain", "tiled"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "1024", way], capture_output=True, text=True, check=True
        )
        grown[way] = int(done.stdout)
    assert grown["plain"] > 90, "MiB; the count says 128"
    assert grown["tiled"] < 0.6 * grown["plain"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.no_grad()
def test_peak_of_a_gpu_allocator() -> None:
    model, image = torchvision.models.resnet18().eval().cuda(), torch.randn(1, 3, 512, 512, device="cuda")
    plan = tiling.plan(model, image, grid=4, fuse_to="layer2", mode="exact")
    runner = tiling.TiledRunner(model, plan)
    torch.testing.assert_close(runner(image), model(image), rtol=1e-3, atol=1e-3)
    peaks = []
    for run in (model, runner):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(image)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 0.6 * peaks[0]
