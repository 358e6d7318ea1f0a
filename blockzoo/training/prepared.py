"""What is known before a training: the network is built and tried, the images are loaded, and the two fit together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.core.sources import check_unedited
from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData
from blockzoo.data.streams import StreamedBatches, check_streamed_images
from blockzoo.models.conversion import check_conversion
from blockzoo.models.findings import Examined
from blockzoo.models.own import built_as
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import examined_blocks
from blockzoo.training.classifier import Classifier
from blockzoo.training.hardware import made_ready, number_format
from blockzoo.training.loaders import Batches, loaders
from blockzoo.training.process import TrainingProcess
from blockzoo.training.protocols import check_mirrored, protocol_of
from blockzoo.training.steps import in_parts, leaves_parameters_unused
from blockzoo.training.tryout import check_smaller_images, tried
from blockzoo.training.weights import check_continuable, load_weights


@dataclass(frozen=True)
class Prepared:
    """What is trained, and what was found of it before.

    Args:
        data: the images that the spec asks for.
        classifier: with the weights that training starts from.
        batches: of the training, validation and test split.
        place: where it is trained.
        dtype: of the dense layers.
        said: sentences on how what is not of the zoo was built, and on what changes its numbers; "" where there are none.
        deviations: what the checks found.
        options: of Lightning's trainer.
    """

    data: ImageData
    classifier: Classifier
    batches: tuple[Batches, Batches, Batches]
    place: torch.device
    dtype: torch.dtype
    said: str
    deviations: list[float]
    options: dict[str, Any]


def prepared(spec: TrialSpec, data: ImageData, process: TrainingProcess) -> Prepared:
    """Build, try and load what the spec asks for, so that what is wrong with it is said before the training.

    Args:
        spec: what to run.
        data: the images that it asks for.
        process: that trains.
    """
    ranks, place, protocol = process.ranks, torch.device(process.device), protocol_of(spec)
    dtype = number_format(protocol, place)
    fitted = partial(made_ready, protocol=protocol, device=place, dtype=dtype)
    output = tried(spec.network, data.shape, data.num_classes, dtype, fitted)
    check_smaller_images(spec.network, data.shape, data.num_classes, protocol.initial_scale)
    network = fitted(_built(spec))
    classifier = Classifier(
        network,
        protocol,
        spec.lr,
        spec.seed,
        ranks=ranks,
        sync_batch_norm=spec.sync_batch_norm,
        micro_batches=spec.micro_batches,
    )
    train, validation, test = loaders(spec, data, place, ranks, process.workers)
    examined = examined_blocks(spec.network)
    conversion = check_conversion(spec.network, (1, *data.shape))
    unused = ranks.many and leaves_parameters_unused(spec, data, place)
    return Prepared(
        data,
        classifier,
        (train, validation, test),
        place,
        dtype,
        said=_said(spec, examined, [conversion, output, in_parts(spec, network), _handed(spec)]),
        deviations=[*checked_images(train, validation), *(block.deviation for block in examined)],
        options={**ranks.trainer_options(unused_parameters=unused), **process.listeners.options},
    )


def check_fits(spec: TrialSpec, data: ImageData) -> None:
    """The data are those of the spec, and the network takes them.

    Raises:
        UsageError: they are not; names all that differs.
    """
    check_unedited([*spec.network.parsed.own_origins, spec.network.filler_code()])
    have = {"classes": data.num_classes, "channels": data.shape[0]}
    want = {"classes": spec.network.out_dim, "channels": spec.network.in_channels}
    faults = [f"{spec.dataset} has {have[k]} {k}, the network {want[k]}" for k in have if have[k] != want[k]]
    faults += data.faults_of(spec.data_digest or "")
    if faults:
        raise UsageError("; ".join(faults))
    check_mirrored(protocol_of(spec), data)


def checked_images(*splits: Batches) -> list[float]:
    """What the check of images that are read from files found; nothing of decoded ones."""
    return [check_streamed_images(split) for split in splits if isinstance(split, StreamedBatches)]


def _built(spec: TrialSpec) -> nn.Module:
    """The network with the weights that training starts from."""
    network = build_network(spec.network, seed=spec.seed)
    if spec.start is not None:
        if spec.start_with_optimizer:
            check_continuable(spec.start, spec.epochs)
        load_weights(network, spec.start, new_head=True)
    return network


def _said(spec: TrialSpec, examined: list[Examined], others: list[str]) -> str:
    """How what is not of the zoo was built and what was found of it, then the others of these sentences."""
    network = spec.network
    sentences = [built_as(network.parsed, network.out_dim, network.in_channels)]
    sentences += [note for block in examined for note in block.notes]
    return "; ".join(dict.fromkeys(filter(None, [*sentences, *others])))


def _handed(spec: TrialSpec) -> str:
    return f"callbacks, which can change its numbers: {spec.callbacks}" if spec.callbacks else ""
