"""From a name to a dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import own_code
from blockzoo.data.content import digest_of
from blockzoo.data.contracts import DATASETS, Dataset, StreamedDataset
from blockzoo.data.decoding import MOST_PIXELS
from blockzoo.data.images import ImageData
from blockzoo.data.places import DatasetNotFound, search_roots

DEFAULT, FALLBACK = "cifar10", "digits"
LARGEST_SIDE = math.isqrt(MOST_PIXELS)
"""Of an image that is resized."""
WAYS = ("resident", "stream", "auto")


_provided: dict[tuple[str, int | None], ImageData] = {}


def provide(data: ImageData, name: str, image_size: int | None) -> None:
    """From now on this process has that dataset, decoded and kept at that size, wherever its files lie."""
    _provided[name, image_size] = data


def load_dataset(
    name: str,
    data_dir: str | Path | None = None,
    *,
    image_size: int | None = None,
    download: bool = True,
    images: str = "resident",
) -> ImageData:
    """The dataset of that name.

    Args:
        name: one of `blockzoo datasets`.
        data_dir: the folder that holds it (default: see `search_roots`).
        image_size: resize to this side length, by Pillow's bicubic filter (which averages when it shrinks).
        download: try to, where it is not found and can be had from a public address.
        images: "resident" decodes them once, at one size; "stream" leaves them in their files, see `StreamedData`; "auto" does so
            where decoded they take more than this machine's memory.

    Raises:
        UnknownNameError: no dataset of that name.
        DatasetNotFound: it is in none of the folders.
        DataError: it is there, but truncated, altered or not what its name says.
    """
    if images == "resident" and (name, image_size) in _provided:
        return _provided[name, image_size]
    source = DATASETS[name]()
    if image_size is not None and not 1 <= image_size <= LARGEST_SIDE:
        raise UsageError(f"image size {describe(image_size)}: give a number from 1 to {LARGEST_SIDE:,}")
    roots = search_roots(data_dir)
    if streamed := _to_stream(name, source, roots, image_size, images):
        return _told_apart(name, source, streamed.stream(roots, image_size=image_size))
    data = source.load(roots, image_size=image_size, download=download)
    data = _told_apart(name, source, data)
    return data.resized(image_size) if image_size else data


def _told_apart(name: str, source: Dataset, data: ImageData) -> ImageData:
    """With a digest of the content where the name does not say what it is, and under the name it is found by again."""
    if own_code(name):
        data = replace(data, name=DATASETS.canonical(name))
    ours = type(source).__module__.startswith("blockzoo.")
    digest = data.digest or ("" if ours else digest_of(data))
    return data.known_by(digest) if digest else data


def _to_stream(
    name: str, source: Dataset, roots: Sequence[Path], image_size: int | None, images: str
) -> StreamedDataset | None:
    """The dataset where its images are to be left in their files; None where they are decoded."""
    if images not in WAYS:
        raise UsageError(f"images {images!r}: choose one of {', '.join(WAYS)}")
    if not isinstance(source, StreamedDataset):
        if images == "stream":
            raise UsageError(
                f"dataset {name} does not come as image files: --images stream is for folder and imagenet"
            )
        return None
    if images != "auto":
        return source if images == "stream" else None
    import psutil

    needed = source.decoded_bytes(roots, image_size=image_size)
    return source if needed > psutil.virtual_memory().total else None


def load_or_fallback(
    name: str | None,
    data_dir: str | Path | None = None,
    *,
    image_size: int | None = None,
    download: bool = True,
    images: str = "resident",
) -> tuple[ImageData, str | None]:
    """The dataset of that name; where none is named cifar10, or digits and a sentence that says so.

    Only a dataset that is absent is replaced: one that is there but damaged is an error.
    """
    chosen = name or DEFAULT
    try:
        return load_dataset(chosen, data_dir, image_size=image_size, download=download, images=images), None
    except DatasetNotFound as error:
        if name is not None:
            raise
        note = (
            f"{DEFAULT} was not found and {error.reason}, so {FALLBACK} (1,797 small images, bundled with "
            "scikit-learn) stands in: name the folder that holds it with --data-dir or BLOCKZOO_DATA."
        )
        return load_dataset(FALLBACK, image_size=image_size), note
