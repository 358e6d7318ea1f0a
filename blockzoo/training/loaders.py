"""The batches of a trial: the images at hand or read from their files, each rank its part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData
from blockzoo.data.batches import ResidentBatches
from blockzoo.data.images import seeded_order, take
from blockzoo.training.augmentation import augmentation
from blockzoo.training.protocols import protocol_of
from blockzoo.training.together import ALONE, Ranks

EVALUATION_BATCH = 512


class Loaders(NamedTuple):
    """Batches of the three splits, on the device."""

    train: ResidentBatches
    val: ResidentBatches
    test: ResidentBatches


def asked_for(spec: TrialSpec, data: ImageData) -> ImageData:
    """The part of the dataset that a trial sees; the split's name says so."""
    data = data if spec.validation_share is None else data.with_validation(spec.validation_share)
    for name, count in (("val", spec.limit_val), ("test", spec.limit_test)):
        images = getattr(data, name)
        if count is not None and count < len(images.labels):
            part = {name: take(images, _stratified(images.labels, count))}
            data = replace(data, split=f"{data.split}-{name}-{count}-v1", **part)
    return data


def _stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of a draw by a fixed seed in which every class has its share, to one image."""
    order = seeded_order(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return np.sort(by_class[np.arange(count) * len(labels) // count])


def loaders(spec: TrialSpec, data: ImageData, device: torch.device, ranks: Ranks = ALONE) -> Loaders:
    """The batches of a trial.

    Args:
        spec: its batch size is that of all ranks together.
        data: what the trial sees of its dataset.
        device: where the batches are.
        ranks: this process among those that train together.
    """
    protocol = protocol_of(spec)
    common: dict[str, Any] = {
        "mean": data.mean,
        "std": data.std,
        "margin": data.margin,
        "device": device,
        "channels_last": protocol.channels_last,
        "rank": ranks.rank,
        "world_size": ranks.count,
    }
    images, labels = data.train.images[: spec.limit_train], data.train.labels[: spec.limit_train]
    train = ResidentBatches(
        images,
        labels,
        spec.batch_size // ranks.count,
        training=True,
        seed=spec.seed,
        flip=data.flip,
        pad_mode=protocol.crop_padding,
        augment=augmentation(protocol, data.mean),
        **common,
    )
    evaluation = max(EVALUATION_BATCH, spec.batch_size // ranks.count)
    return Loaders(
        train,
        ResidentBatches(data.val.images, data.val.labels, evaluation, **common),
        ResidentBatches(data.test.images, data.test.labels, evaluation, **common),
    )
