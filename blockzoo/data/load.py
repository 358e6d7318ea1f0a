"""From a name to a dataset: where to look, and what to do when it is not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from blockzoo.core.contracts import DATASETS
from blockzoo.core.errors import DataError, RequestError
from blockzoo.data.images import ImageData

DEFAULT, FALLBACK = "cifar10", "digits"


def search_roots(data_dir: str | Path | None = None) -> list[Path]:
    """Folders that datasets are looked for in: `data_dir` alone, or BLOCKZOO_DATA, ./data and the cache."""
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    named = [Path(p).expanduser() for p in os.environ.get("BLOCKZOO_DATA", "").split(os.pathsep) if p]
    return [*named, Path("data"), cache_folder() / "data"]


def cache_folder() -> Path:
    """Where decoded images are kept: BLOCKZOO_CACHE, or blockzoo/ in the user's cache folder."""
    if own := os.environ.get("BLOCKZOO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "blockzoo"


def load_dataset(
    name: str, data_dir: str | Path | None = None, *, image_size: int | None = None, download: bool = True
) -> ImageData:
    """The dataset of that name.

    Args:
        name: one of `blockzoo datasets`.
        data_dir: the folder that holds it (default: see `search_roots`).
        image_size: resize to this side length.
        download: try to, where it is not found and can be had from a public address.

    Raises:
        UnknownNameError: no dataset of that name.
        DataError: it is missing, truncated or not what its name says; says what was expected where.
    """
    source = DATASETS[name]()
    if image_size is not None and image_size < 1:
        raise RequestError(f"image size {image_size}: give a positive number")
    data: ImageData = source.load(search_roots(data_dir), image_size=image_size, download=download)
    return data.resized(image_size) if image_size else data


def load_or_fallback(
    name: str | None, data_dir: str | Path | None = None, *, image_size: int | None = None
) -> tuple[ImageData, str | None]:
    """The dataset of that name; where none is named cifar10, or digits and a sentence that says so."""
    if name is not None:
        return load_dataset(name, data_dir, image_size=image_size), None
    try:
        return load_dataset(DEFAULT, data_dir, image_size=image_size), None
    except DataError as error:
        reason = str(error).splitlines()[0]
        note = f"{reason}\nGoing on with {FALLBACK}, which ships with scikit-learn; the rows say so."
        return load_dataset(FALLBACK, image_size=image_size), note


def not_found(name: str, looked_at: Sequence[Path], expected: str, reason: str = "") -> DataError:
    """The error for a dataset that is nowhere."""
    places = "\n".join(f"  {path}" for path in looked_at)
    return DataError(
        f"dataset {name} was not found{f' and {reason}' if reason else ''}.\n"
        f"Expected {expected} in one of:\n{places}\n"
        "Place it there, name its folder with --data-dir or BLOCKZOO_DATA, or use --dataset digits."
    )
