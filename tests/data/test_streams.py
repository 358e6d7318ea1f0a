"""Images that stay in their files: torchvision's pipeline, the same whatever reads them, in which process and in what order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from blockzoo.core.errors import CheckFailed, DataError, UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.data import load_dataset
from blockzoo.data.batches import Chances, Shard
from blockzoo.data.images import Images
from blockzoo.data.streams import StreamedBatches, StreamedData, check_streamed_images, crop_seed
from blockzoo.training.launch import Circumstances, run_on_devices
from blockzoo.training.process import TrainingProcess
from blockzoo.training.trial import run_trial
from tests.training.test_devices import NETWORKS

SIZE = 16


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree train/ and val/ of three classes, JPEGs of many sizes, a grey one and one with a palette."""
    root = tmp_path_factory.mktemp("tree")
    draw = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 5)):
        for label in range(3):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                height, width = draw.integers(17, 90, 2)
                small = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                small[..., label] //= 2
                image = Image.fromarray(small).resize((int(width), int(height)), Image.Resampling.BILINEAR)
                image.convert("L" if number == 3 else "RGB").save(folder / f"{number:02}.jpg", quality=90)
            image.convert("P").save(folder / "palette.png")
    return root


@pytest.fixture
def data(tree: Path) -> StreamedData:
    streamed = load_dataset("folder", tree, image_size=SIZE, images="stream")
    assert isinstance(streamed, StreamedData)
    return streamed


def batches(data: StreamedData, **more: object) -> StreamedBatches:
    return StreamedBatches(data.train, 8, data=data, training=Chances(3), **more)  # type: ignore[arg-type]


def epoch(stream: StreamedBatches) -> dict[bytes, torch.Tensor]:
    """What an epoch shows of each image; classes are by chance no help to tell them apart."""
    stream_order = [path for batch in _orders(stream) for path in batch]
    return dict(zip(stream_order, torch.cat([images for images, _ in stream]), strict=True))


def _orders(stream: StreamedBatches) -> list[list[bytes]]:
    from blockzoo.data.epochs import permutation

    order, _ = permutation(len(stream.paths), 3, stream.epoch)
    return [stream.paths[indices.numpy()].tolist() for indices in stream._shares.of(order)]


def test_evaluation_is_torchvisions(tree: Path, data: StreamedData) -> None:
    """Bit for bit, in the order of the files, whatever reads them."""
    pipeline = v2.Compose(
        [v2.Resize(round(SIZE * 8 / 7)), v2.CenterCrop(SIZE), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
         v2.Normalize(data.mean, data.std)]
    )  # fmt: skip
    folder = ImageFolder(tree / "val", pipeline)
    expected, labels = next(iter(DataLoader(folder, batch_size=100)))
    for workers in (0, 2):
        evaluated = list(StreamedBatches(data.test, 7, data=data, workers=workers))
        assert [len(images) for images, _ in evaluated] == [7, 7, 4]
        assert torch.equal(torch.cat([images for images, _ in evaluated]), expected)
        assert torch.equal(torch.cat([classes for _, classes in evaluated]), labels)
    assert np.allclose(data.seen(data.test.images[:4]), expected[:4])


def test_training_takes_torchvisions_crops_of_the_original(data: StreamedData) -> None:
    plain = v2.Compose([v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.ToImage(),
                        v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.mean, data.std)])  # fmt: skip
    stream = batches(data)
    stream.set_epoch(2)
    seen = epoch(stream)
    assert len(seen) == len(data.train.labels) == 56
    places = {path: place for place, path in enumerate(data.train.images.tolist())}
    for path, pixels in seen.items():
        torch.manual_seed(crop_seed(3, 2, places[path]))
        assert torch.equal(pixels, plain(Image.open(os.fsdecode(path)).convert("RGB")))


def test_crops_depend_on_seed_epoch_and_image_alone(data: StreamedData) -> None:
    alone, with_workers = epoch(batches(data)), epoch(batches(data, workers=3))
    together: dict[bytes, torch.Tensor] = {}
    for rank in (0, 1):
        part = StreamedBatches(data.train, 4, data=data, training=Chances(3), part=Shard(rank, 2))
        together |= epoch(part)
    assert alone.keys() == with_workers.keys() == together.keys()
    for path, pixels in alone.items():
        assert torch.equal(pixels, with_workers[path]) and torch.equal(pixels, together[path])
    later = batches(data)
    later.set_epoch(1)
    assert any(not torch.equal(pixels, alone[path]) for path, pixels in epoch(later).items() if path in alone)


def test_workers_have_ended_with_the_last_batch(data: StreamedData) -> None:
    """Lightning asks a loader of known length for no more than its last batch."""
    before = set(psutil.Process().children())
    stream = iter(batches(data, workers=2))
    next(stream)
    assert len(set(psutil.Process().children()) - before) == 2
    for _ in range(6):
        next(stream)
    assert set(psutil.Process().children()) <= before


def spec(tmp_path: Path, **changes: object) -> TrialSpec:
    (tmp_path / "networks.py").write_text(NETWORKS)
    network = NetworkSpec(f"{tmp_path / 'networks.py'}:Plain", out_dim=3)
    common = {
        "dataset": "folder",
        "image_size": SIZE,
        "epochs": 2,
        "batch_size": 8,
        "lr": 0.05,
        "images": "stream",
    }
    return TrialSpec(network=network, protocol="step-v1", **{**common, **changes})  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_run_on_files_resumes_and_is_the_same_on_two_devices(
    tree: Path, data: StreamedData, tmp_path: Path
) -> None:
    asked = spec(tmp_path, data_digest=data.digest)
    where = Circumstances(data_dir=str(tree), workers=2)
    whole = run_on_devices(asked, data, where)
    assert whole.values["checked"] < 1e-6  # type: ignore[operator]

    def stop(epoch: int, values: dict[str, float]) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run_trial(asked, data, checkpoint=tmp_path / "c.ckpt", on_epoch=stop)
    resumed = run_trial(asked, data, process=TrainingProcess(workers=1), checkpoint=tmp_path / "c.ckpt")
    assert resumed.samples["val_loss"] == whole.samples["val_loss"]
    together = run_on_devices(asked.with_(devices=2), data, where)
    rounding = 1e-5 if whole.environment["dtype"] == "float32" else 1e-3
    assert together.samples["train_loss"] == pytest.approx(whole.samples["train_loss"], rel=rounding)
    assert together.values["test_acc"] == whole.values["test_acc"]
    assert asked.fingerprint() != asked.with_(images="resident").fingerprint()


def test_the_command_says_how_images_are_kept(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from blockzoo.cli import main

    words = ["tile", "train", str(tree), "--dataset=folder", f"--arch={tmp_path / 'networks.py'}:Plain", "--cpu",
             f"--image-size={SIZE}", "--epochs=1", "--batch-size=16", "-o", str(tmp_path / "out")]  # fmt: skip
    spec(tmp_path)
    assert main([*words, "--images=stream", "-j=2"]) == 0
    assert "images read from their files" in capsys.readouterr().out
    assert main(words) == 0
    assert {record.spec["images"] for record in Outputs.at(tmp_path / "out").store().records()} == {
        "stream",
        "resident",
    }
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: type("Memory", (), {"total": 10, "available": 2**33})()
    )
    assert load_dataset("folder", tree, images="auto").kept == "stream"
    assert load_dataset("folder", tree).kept == "resident"
    with pytest.raises(UsageError, match="digits does not come as image files"):
        load_dataset("digits", images="stream")


@pytest.mark.slow
def test_sweeps_read_images_from_their_files_too(tree: Path, tmp_path: Path) -> None:
    from blockzoo.cli import main

    common = ["--dataset=folder", f"--data-dir={tree}", f"--image-size={SIZE}", "--epochs=1", "--batch-size=16",
              "--device=cpu", "--images=stream"]  # fmt: skip
    swept, trained = tmp_path / "sweep", tmp_path / "nas"
    few = ["--num-blocks=1", "--base-channels=4", "--positions=mid", "--no-latency", "--no-plots"]
    assert main(["sweep", "--blocks=ResNetBasicBlock", *few, *common, "-o", str(swept)]) == 0
    assert main(["nas", "train", "--indices", "0", "--width=4", *common, "-o", str(trained)]) == 0
    for folder in (swept, trained):
        (record,) = Outputs.at(folder).store().records("trial")
        assert record.spec["images"] == "stream" and record.values["checked"] < 1e-6


def test_a_damaged_file_is_named(tree: Path, data: StreamedData, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((tree / "val" / "class0" / "00.jpg").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no image")
    paths = np.array([os.fsencode(broken), os.fsencode(tmp_path / "text.png"), *data.test.images[:3]])
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"broken\.jpg.*text\.png") as error:
            list(StreamedBatches(Images(paths, np.zeros(5, np.int64)), 5, data=data, workers=workers))
        assert "Traceback" not in str(error.value)


@pytest.mark.mutation("streamed-images")
@pytest.mark.parametrize(
    "wrong",
    [
        v2.Compose([v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(1.0)]),
        v2.Compose([v2.RandomResizedCrop(SIZE, antialias=False, interpolation=0), v2.RandomHorizontalFlip()]),
        v2.Compose([v2.Resize(SIZE), v2.CenterCrop(SIZE)]),
    ],
)
def test_other_pixels_than_torchvisions_are_found(data: StreamedData, wrong: v2.Transform) -> None:
    stream = batches(data)
    assert check_streamed_images(stream) < 1e-6
    stream._reader.transform = wrong
    with pytest.raises(CheckFailed, match="streamed-images"):
        check_streamed_images(stream)
