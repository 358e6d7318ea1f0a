"""What the checks of docs/trust.md cost: processor time of each where it is used, and of the whole of which it is a part.

    python benchmarks/checks.py [WORK ...]

Each work is done once to load what it needs, then `--rounds` times with a clock around every check of the registry. Printed: the
median seconds of each check that was met, of the work, and the share. One thread.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

import numpy as np
import timm
import torch
import torchvision
from PIL import Image

from blockzoo import nas, tiling
from blockzoo.core.contracts import CHECKS
from blockzoo.core.environment import describe, environment
from blockzoo.data import load_dataset
from blockzoo.data.batches import Chances
from blockzoo.data.streams import StreamedBatches
from blockzoo.models.deploy import deployed
from blockzoo.nas.files.io import read_dataset_file, write_dataset_file
from blockzoo.nas.ranking.predictors import ridge
from blockzoo.nas.training.supernet import Supernet
from blockzoo.tiling.onnx.quantise import Calibration, quantise_onnx
from blockzoo.tiling.runtime.runner import TiledRunner
from blockzoo.training.together import digest_of_weights

spent: dict[str, float] = defaultdict(float)
ALSO: dict[str, Any] = {"fitted-tables": ridge._refitted}
IMAGE = torch.randn(1, 3, 224, 224)


def timed(name: str, check: Callable[..., float]) -> Callable[..., float]:
    @functools.wraps(check)
    def wrapper(*given: Any, **options: Any) -> float:
        begin = time.process_time()
        try:
            return check(*given, **options)
        finally:
            spent[name] += time.process_time() - begin

    return wrapper


def watch() -> None:
    """Put a clock around every check, wherever its name is, and around what is only computed for one."""
    for name, check in [*((name, CHECKS[name]) for name in CHECKS), *ALSO.items()]:
        clocked = timed(name, check)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("blockzoo"):
                for known, value in list(vars(module).items()):
                    if value is check:
                        setattr(module, known, clocked)


def tiles(folder: Path) -> None:
    """MobileNetV2 at 224 pixels planned and run in tiles."""
    network = torchvision.models.mobilenet_v2().eval()
    TiledRunner(network, tiling.plan(network, IMAGE, mode="exact"))


def files(folder: Path) -> None:
    """MobileNetV2 at 224 pixels exported, and its file in tiles."""
    network = torchvision.models.mobilenet_v2().eval()
    tiling.export_onnx(network, IMAGE, folder / "a.onnx", overwrite=True)
    tiling.fuse_onnx(
        folder / "a.onnx", folder / "b.onnx", tiling.Fusing(budget="4MiB", mode="exact"), overwrite=True
    )


def integers(folder: Path) -> None:
    """MobileNetV2 at 96 pixels in int8, in tiles."""
    network = torchvision.models.mobilenet_v2().eval()
    images = np.random.default_rng(0).normal(size=(4, 3, 96, 96)).astype(np.float32)
    tiling.export_onnx(network, IMAGE[:, :, :96, :96], folder / "f.onnx", overwrite=True)
    quantise_onnx(folder / "f.onnx", folder / "q.onnx", Calibration(images), overwrite=True)
    tiling.fuse_onnx(
        folder / "q.onnx", folder / "t.onnx", tiling.Fusing(budget="256KiB", mode="exact"), overwrite=True
    )


def branches(folder: Path) -> None:
    """MobileOne-S0 at 224 pixels deployed."""
    deployed(timm.create_model("mobileone_s0").eval(), IMAGE)


def predictors(folder: Path) -> None:
    """The surrogate of `mini`, 300 networks."""
    data = nas.load("mini")
    ridge.PairwiseRidge(nas.MacroSpace()).fit(data.indices, data.test_acc(data.indices))


def supernets(folder: Path) -> None:
    """A network of width 16 inside a supernet, two images of 32 pixels."""
    sys.modules["blockzoo.nas.training.supernet"].path_of_supernet(  # type: ignore[attr-defined]
        Supernet(nas.MacroSpace(), 10, 16).eval(), 12345, torch.randn(2, 3, 32, 32)
    )


def datasets(folder: Path) -> None:
    """`mini`, 300 networks and 6 epochs, written as text."""
    bundled = Path(nas.__file__).parent / "bundled" / "mini" / "blox-base-0.native"
    write_dataset_file(folder / "blox-base-0.csv", *read_dataset_file(bundled))


def streams(folder: Path) -> None:
    """Images of 500 x 375 pixels streamed at 224."""
    for number in range(16):
        place = folder / ("train", "val")[number % 2] / str(number // 2 % 2) / f"{number}.jpg"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (375, 500, 3), np.uint8)
            Image.fromarray(pixels).save(place)
    data = load_dataset("folder", folder, image_size=224, images="stream")
    sys.modules["blockzoo.data.streams"].check_streamed_images(  # type: ignore[attr-defined]
        StreamedBatches(data.train, 8, data=data, training=Chances())  # type: ignore[arg-type]
    )


def ranks(folder: Path) -> None:
    """ResNet-18 digested by one process, and compared with the centre of another; 50,000 images counted."""
    network = torchvision.models.resnet18()
    begin = time.process_time()
    digest_of_weights(network)
    spent["equal-ranks"] += time.process_time() - begin
    sys.modules["blockzoo.blockwise.engines.distributed"].check_equal_centres(  # type: ignore[attr-defined]
        [network.state_dict(), network.state_dict()]
    )
    sys.modules["blockzoo.data.epochs"].check_each_image_once(torch.ones(50_000), 50_000)  # type: ignore[attr-defined]


WORKS = {
    work.__name__: work
    for work in (tiles, files, integers, branches, predictors, supernets, datasets, streams, ranks)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(describe(environment(device="cpu", threads=1)), f"; median of {asked.rounds} rounds", sep="")
    watch()
    for name in asked.works or WORKS:
        spent_on: dict[str, list[float]] = defaultdict(list)
        wholes = []
        with tempfile.TemporaryDirectory() as folder:
            WORKS[name](Path(folder))
            for _ in range(asked.rounds):
                spent.clear()
                begin = time.process_time()
                WORKS[name](Path(folder))
                wholes.append(time.process_time() - begin)
                for check, seconds in spent.items():
                    spent_on[check].append(seconds)
        whole = statistics.median(wholes)
        print(f"{(WORKS[name].__doc__ or '').splitlines()[0]} {whole:.2f} s")
        for check, times in sorted(spent_on.items()):
            seconds = statistics.median(times)
            print(f"    {check:18} {1000 * seconds:8.1f} ms   {100 * seconds / whole:4.0f} %", flush=True)


if __name__ == "__main__":
    main()
