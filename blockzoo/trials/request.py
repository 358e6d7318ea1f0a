"""From a request, in settings, to the images and the spec of a trial."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.contracts import PROTOCOLS
from blockzoo.core.settings import Data, Recipe, Scaffold
from blockzoo.core.sources import digest_of_codes
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import Subject

if TYPE_CHECKING:
    from blockzoo.data import ImageData

log = logging.getLogger(__name__)


def load_data(
    dataset: str | None,
    data_dir: str | Path | None,
    image_size: int | None,
    *,
    images: str = "resident",
) -> ImageData:
    """The dataset of that name; with None the default one, or digits with a word to the user."""
    from blockzoo.data import load_or_fallback

    data, note = load_or_fallback(dataset, data_dir, image_size=image_size, images=images)
    if note:
        log.warning(note)
    return data


def images_of(data: Data, data_dir: str | Path | None) -> ImageData:
    """The dataset that these settings name."""
    return load_data(data.dataset, data_dir, data.image_size, images=data.images)


def network_spec(
    subject: str | type, position: str | None, images: ImageData, scaffold: Scaffold
) -> NetworkSpec:
    """The spec of a network for these images; a block without a position is given one (default mid)."""
    parsed = Subject.parse(subject).placed(position)
    return NetworkSpec(str(parsed), images.num_classes, images.shape[0], **vars(scaffold))


def trial_spec(
    network: NetworkSpec,
    images: ImageData,
    recipe: Recipe,
    data: Data,
    seed: int,
    *,
    lr_among: str | None = None,
) -> TrialSpec:
    """The spec of a trial, with what is not given taken from the protocol and the data."""
    from blockzoo.training.protocols import check_mirrored, get_protocol, protocol_of

    settings = {**vars(recipe), **vars(data), "protocol": get_protocol(recipe.protocol).name}
    spec = TrialSpec(
        network=network,
        **settings | {"dataset": images.name, "images": images.kept},
        seed=seed,
        lr_among=lr_among,
        data_digest=images.digest or None,
        code_digest=digest_of_codes([PROTOCOLS.own_origin(recipe.protocol), network.filler_code()]),
    )
    check_mirrored(protocol_of(spec), images)  # it has what the trial overrides
    return spec
