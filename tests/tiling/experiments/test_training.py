"""Networks on tiles learn by the common recipe: from scratch, fine-tuned, gone on with, interrupted, evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.data import ImageData
from blockzoo.tiling.experiments.training import (
    TiledRecipe,
    TiledRun,
    evaluate_tiled,
    starting_point,
    tiled_spec,
    train_tiled,
)
from blockzoo.tiling.tags import Tiling, tiling_of

SHORT = TiledRecipe(epochs=2, batch_size=64, lr=0.1, effective_train_size=256)
TINY = """
from torch import nn
class Tiny(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
                         nn.Flatten(), nn.Linear(128, num_classes))
"""


@pytest.fixture
def arch(tmp_path: Path) -> str:
    (tmp_path / "tiny.py").write_text(TINY)
    return f"{tmp_path / 'tiny.py'}:Tiny"


def run(
    arch: str,
    data: ImageData,
    output: Path,
    tiling: Tiling | None = None,
    recipe: TiledRecipe = SHORT,
    **more,
) -> TiledRun:
    options = {name: more.pop(name) for name in ("start", "seed") if name in more}
    spec, preset = tiled_spec(arch, tiling or Tiling(), data, recipe, image_size=16, **options)
    return train_tiled(spec, preset, output=output, device="cpu", **more)


def test_fine_tuned_from_the_network_that_is_not_cut(digits: ImageData, arch: str, tmp_path: Path) -> None:
    whole = run(arch, digits, tmp_path / "out", recipe=TiledRecipe(epochs=4, batch_size=32, lr=0.05))
    assert whole.record.values["test_acc"] > 0.5 and whole.row["test_acc"] == whole.record.values["test_acc"]
    start = starting_point(arch, whole.weights, reset_optimizer=True)
    tuned = run(arch, digits, tmp_path / "out", tiling_of("F8"), TiledRecipe(epochs=1, lr=1e-6), start=start)
    assert tuned.preset.fine_tuning and tuned.record.spec["epochs"] == 1
    assert tuned.record.values["test_acc"] > 0.3, "it starts from what the whole network has learnt"
    assert torch.load(tuned.weights)["state_dict"].keys() == torch.load(whole.weights)["state_dict"].keys()
    spec, _ = tiled_spec(arch, Tiling(), digits, TiledRecipe(), start=start, image_size=16)
    evaluated = evaluate_tiled(spec, split="test", device="cpu", output=tmp_path / "out")
    assert evaluated.values["test_acc"] == pytest.approx(whole.record.values["test_acc"])
    assert Outputs.at(tmp_path / "out").store().records("evaluation")[0].values["images"] == 359


def test_interrupted_and_gone_on_with_equals_uninterrupted(
    digits: ImageData, arch: str, tmp_path: Path
) -> None:
    def stop(epoch: int, values: dict[str, float]) -> None:
        raise Stop

    tiling = tiling_of("H2x2")
    whole = run(arch, digits, tmp_path / "a", tiling)
    with pytest.raises(Stop):
        run(arch, digits, tmp_path / "b", tiling, on_epoch=stop)
    epochs: list[int] = []
    resumed = run(arch, digits, tmp_path / "b", tiling, on_epoch=lambda epoch, values: epochs.append(epoch))
    assert epochs == [2]
    assert resumed.record.values["test_acc"] == whole.record.values["test_acc"]
    assert resumed.record.samples["train_loss"] == whole.record.samples["train_loss"]
    again = run(arch, digits, tmp_path / "b", tiling, on_epoch=stop)
    assert not again.anew and again.record.values == resumed.record.values


def test_a_checkpoint_is_gone_on_with(digits: ImageData, arch: str, tmp_path: Path) -> None:
    first = run(arch, digits, tmp_path)
    start = starting_point(arch, first.weights)
    assert start is not None and start.with_optimizer
    with pytest.raises(UsageError, match="2 epochs behind it and 2 were asked for"):
        run(arch, digits, tmp_path, start=start)
    more = run(
        arch,
        digits,
        tmp_path,
        recipe=TiledRecipe(epochs=3, batch_size=64, lr=0.1, effective_train_size=256),
        start=start,
    )
    assert len(more.record.samples["train_loss"]) == 3
    assert more.record.samples["train_loss"][:2] == first.record.samples["train_loss"]
    assert not more.preset.fine_tuning


def test_the_test_split_can_wait(digits: ImageData, arch: str, tmp_path: Path) -> None:
    first = run(arch, digits, tmp_path, read_test=False)
    assert "test_acc" not in first.record.values and first.row["test_acc"] is None
    later = run(arch, digits, tmp_path)
    assert not later.anew and later.record.values["test_acc"] == later.row["test_acc"]
    other = run(arch, digits, tmp_path / "at once")
    assert other.record.values["test_acc"] == pytest.approx(later.record.values["test_acc"])


def test_what_overrides_the_preset(digits: ImageData, arch: str) -> None:
    recipe = TiledRecipe(
        epochs=10,
        batch_size=32,
        lr=0.2,
        weight_decay=0.0,
        momentum=0.5,
        milestones=(2, 4),
        effective_train_size=100,
        validation_share=0.2,
    )
    spec, _ = tiled_spec("block_vgg16", tiling_of("F28"), digits, recipe)
    assert (spec.epochs, spec.batch_size, spec.lr, spec.weight_decay, spec.momentum) == (
        10,
        32,
        0.2,
        0.0,
        0.5,
    )
    assert (spec.milestones, spec.limit_train, spec.validation_share) == ((2, 4), 100, 0.2)
    assert type(spec)(**spec.to_json()) == spec
    spec, _ = tiled_spec("block_mobilenet", tiling_of("F28"), digits, TiledRecipe(milestones=(5,)))
    assert spec.protocol == "step-v1"
    with pytest.raises(UsageError, match="rising order"):
        tiled_spec("block_vgg16", tiling_of("F28"), digits, TiledRecipe(milestones=(4, 2)))


def test_where_a_run_starts(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert starting_point(arch, None) is None
    with pytest.raises(UsageError, match="--resume-from"):
        starting_point(arch, None, reset_optimizer=True)
    with pytest.raises(UsageError, match="give one of them"):
        starting_point("resnet18", tmp_path / "x", pretrained=True)
    with pytest.raises(UsageError, match="has no weights of"):
        starting_point(arch, None, pretrained=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _offline)
    with pytest.raises(
        UsageError, match=r"put the file at .*checkpoints/resnet18-f37072fd\.pth(?s:.)*--resume-from"
    ):
        starting_point("block_resnet18", None, pretrained=True)


class Stop(Exception):
    """The run is interrupted here."""


def _offline(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_another_share_validates(digits: ImageData) -> None:
    data = digits.with_validation(0.25)
    together = len(digits.train.labels) + len(digits.val.labels)
    assert (
        len(data.val.labels) == round(together / 4)
        and len(data.train.labels) + len(data.val.labels) == together
    )
    counts = [
        sum(data.val.labels == c) / (sum(data.val.labels == c) + sum(data.train.labels == c))
        for c in range(10)
    ]
    assert all(abs(share - 0.25) < 0.02 for share in counts)
    assert data.split != digits.split and data.test is digits.test
    shares = (0.25, 0.3333333, 0.33333333)
    assert len({digits.with_validation(share).split for share in shares}) == len(shares)
