"""One training step by itself: whether it fits in memory, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData
from blockzoo.models.outputs import main_output
from blockzoo.models.resolve import build_network
from blockzoo.training.hardware import made_ready, number_format
from blockzoo.training.loaders import loaders
from blockzoo.training.protocols import protocol_of
from blockzoo.training.resolution import mean_area

LONG_ENOUGH = 0.1
"""Seconds of a training step beside which its fixed cost, which does not grow with the batch, is small."""


def is_out_of_memory(error: BaseException) -> bool:
    """Did an allocation fail, on a processor or a GPU?"""
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "out of memory" in text
    )


def _bare_step(spec: TrialSpec, data: ImageData, device: torch.device) -> Callable[[], None]:
    """A step of one of the trial's devices, on its part of a batch."""
    part = spec.batch_size // (spec.devices * spec.micro_batches)
    spec = spec.with_(batch_size=part, micro_batches=1, devices=1, sync_batch_norm=False)
    protocol = protocol_of(spec)
    dtype = number_format(protocol, device)
    network = (
        made_ready(build_network(spec.network, seed=spec.seed), protocol, device, dtype).to(device).train()
    )
    images, labels = next(iter(loaders(spec, data, device).train))

    def step() -> None:
        network.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = torch.nn.functional.cross_entropy(main_output(network(images)).tensor, labels)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def leaves_parameters_unused(spec: TrialSpec, data: ImageData, device: torch.device) -> bool:
    """Does a training step leave parameters without a gradient? Tried on two images of noise."""
    network = build_network(spec.network, seed=spec.seed).to(device).train()
    main_output(network(torch.randn(2, *data.shape, device=device))).tensor.sum().backward()
    return any(p.requires_grad and p.grad is None for p in network.parameters())


def fitting_batch_size(spec: TrialSpec, data: ImageData, device: torch.device) -> int | None:
    """The largest batch size of 1/2, 1/4, ... of the spec's whose training step runs; None if none does."""
    batch_size = spec.batch_size // 2
    while batch_size >= 2 * spec.devices and batch_size % spec.devices == 0:
        try:
            _bare_step(spec.with_(batch_size=batch_size), data, device)()
            return batch_size
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        batch_size //= 2
    return None


def in_parts(spec: TrialSpec, network: nn.Module) -> str:
    """That batches went through in parts, and what that changes; nothing where they did not."""
    if spec.micro_batches == 1:
        return ""
    images = spec.batch_size // spec.micro_batches
    norms = any(isinstance(layer, _BatchNorm) for layer in network.modules())
    changed = (
        f"its batch norms took their statistics over these {images}"
        if norms
        else "the steps are the same up to rounding"
    )
    return (
        f"each batch of {spec.batch_size} went through in {spec.micro_batches} parts of {images} images, for lack of memory: "
        f"{changed}"
    )


def advice(spec: TrialSpec, data: ImageData, device: torch.device) -> str:
    """That a training step does not fit, and the batch size that does."""
    fits = fitting_batch_size(spec, data, device)
    parts = " (or --on-oom halve, which takes its batches in parts)" if spec.devices == 1 else ""
    remedy = f"--batch-size {fits} fits{parts}" if fits else "not even a batch of 2 fits"
    return f"{spec.network.subject}: a training step at batch size {spec.batch_size} does not fit in memory; {remedy}"


def training_images_worth(spec: TrialSpec, data: ImageData) -> float:
    """What a training computes in all its epochs, in training images: one that is validated is a third, smaller ones by area."""
    protocol = protocol_of(spec)
    trained = min(spec.limit_train or len(data.train.labels), len(data.train.labels))
    validated = len(data.val.labels) * (2 if protocol.flip_average else 1)
    return spec.epochs * (trained * mean_area(protocol.initial_scale, spec.epochs) + validated / 3)


def training_image_seconds(spec: TrialSpec, data: ImageData, device: str, steps: int = 2) -> float:
    """Seconds of training per image: the fastest of `steps` steps after one that is not counted, by the batch.

    Of an eighth of a batch where that takes long enough to stand for the whole one, else of the whole.
    """
    place = torch.device(device)

    def measured(batch_size: int) -> float:
        step = _bare_step(spec.with_(batch_size=batch_size), data, place)
        times = []
        for _ in range(steps + 1):
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        return min(times[1:])

    part = max(2, spec.batch_size // 8 // spec.devices) * spec.devices
    seconds = measured(part)
    return seconds / part if seconds > LONG_ENOUGH else measured(spec.batch_size) / spec.batch_size
