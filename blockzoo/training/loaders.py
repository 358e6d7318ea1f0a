"""The batches of a trial: the images at hand or read from their files, each rank its part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData
from blockzoo.data.batches import Chances, Form, ResidentBatches, Shard, pixels_of
from blockzoo.data.streams import StreamedBatches, StreamedData
from blockzoo.training.augmentation import augmentation
from blockzoo.training.protocols import protocol_of
from blockzoo.training.together import ALONE, Ranks

EVALUATION_BATCH = 512


Batches = ResidentBatches | StreamedBatches


class Loaders(NamedTuple):
    """Batches of the three splits, on the device."""

    train: Batches
    val: Batches
    test: Batches


def asked_for(spec: TrialSpec, data: ImageData) -> ImageData:
    """The part of the dataset that a trial sees; the split's name says so."""
    data = data if spec.validation_share is None else data.with_validation(spec.validation_share)
    return data.limited(spec.limit_train, val=spec.limit_val, test=spec.limit_test)


def loaders(
    spec: TrialSpec, data: ImageData, device: torch.device, ranks: Ranks = ALONE, workers: int = 0
) -> Loaders:
    """The batches of a trial.

    Args:
        spec: its batch size is that of all ranks together.
        data: what the trial sees of its dataset.
        device: where the batches are.
        ranks: this process among those that train together.
        workers: processes that read images, where these stay in their files.
    """
    protocol = protocol_of(spec)
    own = spec.batch_size // ranks.count
    form = Form(device, channels_last=protocol.channels_last)
    part = Shard(ranks.rank, ranks.count)
    chances = Chances(
        seed=spec.seed,
        flip=data.flip,
        pad_mode=protocol.crop_padding,
        augment=augmentation(protocol, data.mean),
    )
    make: Callable[..., Batches]
    if isinstance(data, StreamedData):
        make = partial(StreamedBatches, data=data, form=form, part=part, workers=workers)
    else:
        make = partial(ResidentBatches, pixels=pixels_of(data), form=form, part=part)
    return Loaders(
        make(data.limited(spec.limit_train).train, own, training=chances),
        *(make(split, max(EVALUATION_BATCH, own)) for split in (data.val, data.test)),
    )
