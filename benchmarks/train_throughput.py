"""Training images per second: the data path and dtypes of fast-v1, against the usual pipeline.

The usual one: Lightning, a DataLoader over torchvision transforms on PIL images, fp32, NCHW; at 0 and 2 workers.
Each way runs in a child process of its own with an untouched environment, in turns, on the same images.

    python benchmarks/train_throughput.py [--base-channels 64 --num-blocks 3 --steps 12 --block ResNetBasicBlock]
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder holds a profile.py, which would hide the standard library's

import argparse
import json
import statistics
import subprocess
import time

import numpy as np

WAYS = ("usual, 0 workers", "usual, 2 workers", "fast-v1")
COUNT = 4096


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    return chance.integers(0, 256, (count, 3, 32, 32), np.uint8), chance.integers(0, 10, count)


def child(way: str, options: argparse.Namespace) -> None:
    """Train for some steps; print images/s from the end of the third step on."""
    import logging

    import lightning as L
    import torch
    from torch.nn import functional as F

    from blockzoo import ScaffoldNet

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    net = ScaffoldNet(
        options.block, num_blocks=options.num_blocks, base_channels=options.base_channels, seed=0
    )
    pixels, labels = images(COUNT)
    ends: list[float] = []
    precision = "32-true"
    if way == "fast-v1":
        from blockzoo.data.batches import Chances, Form, Pixels, ResidentBatches
        from blockzoo.data.images import Images
        from blockzoo.training.hardware import (
            fastest_dtype,
            keep_freed_memory,
            keep_grouped_convolutions_in_float32,
        )

        keep_freed_memory()
        batches = ResidentBatches(
            Images(pixels, labels),
            options.batch_size,
            pixels=Pixels((0.5,) * 3, (0.25,) * 3),
            training=Chances(flip=True, pad_mode="reflect"),
            form=Form(channels_last=True),
        )
        net = net.to(memory_format=torch.channels_last)
        if fastest_dtype(torch.device("cpu")) == torch.bfloat16:
            precision, net = "bf16-mixed", keep_grouped_convolutions_in_float32(net)
    else:
        batches = _usual_loader(pixels, labels, options.batch_size, workers=int(way.split()[1]))

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch, index):  # type: ignore[no-untyped-def]
            x, y = batch
            loss = F.cross_entropy(self.net(x), y)
            if way != "fast-v1":
                self.log("train_loss", loss)
            return loss

        def on_train_batch_end(self, *args) -> None:  # type: ignore[no-untyped-def]
            ends.append(time.perf_counter())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9, nesterov=True)

    L.Trainer(
        max_steps=options.steps, max_epochs=-1, accelerator="cpu", precision=precision, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(Module(), batches)  # fmt: skip
    counted = ends[2:]
    print(
        json.dumps(
            {
                "images_per_s": options.batch_size * (len(counted) - 1) / (counted[-1] - counted[0]),
                "precision": precision,
            }
        )
    )


def _usual_loader(pixels: np.ndarray, labels: np.ndarray, batch_size: int, workers: int):  # type: ignore[no-untyped-def]
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms as T

    transform = T.Compose(
        [
            T.RandomCrop(32, padding=4),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize((0.5,) * 3, (0.25,) * 3),
        ]
    )

    class Pictures(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            return transform(Image.fromarray(pixels[index].transpose(1, 2, 0))), int(labels[index])

    return DataLoader(Pictures(), batch_size, shuffle=True, num_workers=workers, drop_last=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--block", default="ResNetBasicBlock")
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--num-blocks", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way")
    options = parser.parse_args()
    if options.way:
        child(options.way, options)
        return
    from blockzoo.core.environment import describe, environment

    print(
        f"{describe(environment(device='cpu'))}; {options.block}/mid, width {options.base_channels}, "
        f"{options.num_blocks} blocks a stage, batch {options.batch_size}, {options.rounds} rounds of {options.steps} steps"
    )
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    precision = ""
    for _ in range(options.rounds):
        for way in WAYS:
            words = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            rates[way].append(figures["images_per_s"])
            precision = figures["precision"]
    for way, values in rates.items():
        ratio = statistics.median(f / v for f, v in zip(rates["fast-v1"], values, strict=True))
        print(f"{way:18} {statistics.median(values):7.1f} images/s   fast-v1 is {ratio:.2f} times as fast")
    print(f"fast-v1 ran in {precision}")


if __name__ == "__main__":
    main()
