"""Off-chip traffic against counts by hand, accuracy beside plans, the picture, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.__main__ import main
from blockzoo.tiling.experiments.accuracy import settings
from blockzoo.tiling.experiments.memory_figure import memory_over_layers
from blockzoo.tiling.planning.planner import timelines

STUDY = Path(__file__).parents[3] / "docs" / "results" / "tiling_cifar10.csv"


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 4, 3, 2, 1)
    ).eval()


def test_traffic_by_hand() -> None:
    model, x = chain(), torch.zeros(1, 3, 32, 32)
    image, middle, result = 3 * 1024, 8 * 1024, 4 * 256
    weights = sum(p.numel() for p in model.parameters())
    plan = tiling.plan(model, x, grid=(4, 4), fuse_to="2", dtype="int8")
    ours, layers = tiling.traffic(model, plan, 8000)
    assert (layers.read, layers.written) == (image + 2 * middle, 2 * middle + result)
    assert layers.weights == weights and not layers.stays and "needs" in layers.largest
    assert (ours.read, ours.written, ours.weights) == (image, result, weights) and ours.stays
    assert ours.total < layers.total
    _, roomy = tiling.traffic(model, plan, 2 * middle)
    assert roomy.stays and (roomy.read, roomy.written) == (image, result)
    tight, _ = tiling.traffic(model, plan, 1100)  # one tile fits, the result and the weights do not beside it
    assert tight.stays and tight.weights == 16 * weights
    none, _ = tiling.traffic(model, plan, 1000)
    assert not none.stays and none.written > result

    exact = tiling.plan(model, x, grid=(4, 4), fuse_to="2", dtype="int8", mode="exact")
    assert tiling.traffic(model, exact, 8192)[0].read > image, "halos are read again"


def test_settings_join_memory_and_accuracy() -> None:
    def line(
        blocking: str, padding: str, accuracy: float, seed: int, status: str = "ok"
    ) -> dict[str, object]:
        return {
            "way": "scratch",
            "blocking": blocking,
            "padding": padding,
            "seed": seed,
            "status": status,
            "test_acc": accuracy,
        }

    lines = [
        line("whole", "", 0.9, 0),
        line("whole", "", 0.8, 1),
        line("H4x4", "zeros", 0.7, 0),
        line("H4x4", "zeros", 0, 1, "failed"),
    ]
    costed = settings(chain(), torch.zeros(1, 3, 32, 32), lines)
    assert [(s.blocking, s.accuracy.mean, s.accuracy.n) for s in costed] == [
        ("whole", pytest.approx(0.85), 2),
        ("H4x4", 0.7, 1),
    ]
    assert costed[1].plan.peak_bytes < costed[0].plan.peak_bytes


def test_the_picture_shows_both_peaks() -> None:
    model, x = chain(), torch.zeros(1, 3, 32, 32)
    plan = tiling.plan(model, x, grid=(4, 4), fuse_to="2")
    before, after = timelines(model, plan)
    assert max(size for _, size in before) == plan.layer_by_layer.peak_bytes
    assert max(size for _, size in after) == plan.peak_bytes
    assert before[-1][0] == after[-1][0] == plan.macs
    (axes,) = memory_over_layers(plan, before, after).axes
    assert [text.get_text().split(":")[0] for text in axes.get_legend().get_texts()] == [
        "layer by layer",
        "as planned",
    ]


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, str]:
        code = main(["tile", "plan", "model:resnet8_half", "--image-size", "32", *words])
        return code, "".join(capsys.readouterr())

    picture = tmp_path / "memory.png"
    code, text = run("--budget", "64KiB", "--buffer", "64KiB", "--figure", str(picture))
    assert code == 0 and "layer by layer" in text and "on chip" in text and picture.stat().st_size > 10_000
    code, text = run("--results", str(STUDY))
    assert code == 0 and "H4x4 zeros, fine-tuned" in text
    assert "x MACs" in run("--pareto", "--mode", "exact", "--dtype", "int8")[1]
    code, text = run("--budget", "1KiB")
    assert code == 2 and "the least is" in text
