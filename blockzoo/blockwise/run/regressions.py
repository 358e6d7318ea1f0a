"""Data whose targets are numbers: a fifth of the rows is held out, and what is learnt of the data is of the others alone."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.download import download_file
from blockzoo.data.places import DatasetNotFound, search_roots

Rows = tuple[np.ndarray, np.ndarray]

ARCHIVE = "cal_housing.tgz"
URL = "https://ndownloader.figshare.com/files/5976036"
SHA256 = "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681"
"""Of the archive that scikit-learn downloads, and keeps as a pickle of its own."""


def load_regression(name: str, data_dir: str | None = None) -> tuple[Rows, Rows]:
    """Inputs and targets to train on, and held-out ones.

    Raises:
        DataError: they are not there, or not what they should be.
    """
    x, y = REGRESSIONS[name](data_dir)
    held = _held_out(len(x))
    return (x[~held], y[~held]), (x[held], y[held])


def _held_out(count: int) -> np.ndarray:
    held: np.ndarray = np.random.default_rng(0).permutation(count) < count // 5
    return held


def _ones(data_dir: str | None) -> Rows:
    """1,000 random inputs of 8 numbers, whose targets are all 1: what every network can learn."""
    x = np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32)
    return x, np.ones((1000, 1), np.float32)


def _california_housing(data_dir: str | None) -> Rows:
    """Median house values of 20,640 districts (Pace and Barry, 1997), with scikit-learn's 8 features.

    Standardised by the mean and the deviation of the rows that are trained on.
    """
    longitude, latitude, age, rooms, bedrooms, people, households, income, value = _table(data_dir).T
    means = rooms / households, bedrooms / households, people, people / households
    x, y = np.stack([income, age, *means, latitude, longitude], axis=1), value[:, None]
    train = ~_held_out(len(x))
    x, y = ((part - part[train].mean(0)) / part[train].std(0) for part in (x, y))
    return x.astype(np.float32), y.astype(np.float32)


def _table(data_dir: str | None) -> np.ndarray:
    """The nine columns of the archive, whose digest is checked before anything of it is read."""
    places = [root / ARCHIVE for root in search_roots(data_dir)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        path = places[-1]
        if reason := download_file(URL, path, SHA256):
            expected = f"{ARCHIVE} (scikit-learn's cal_housing_py3.pkz is a pickle, and is not read)"
            raise DatasetNotFound(
                "california_housing", places, expected, f"could not be downloaded ({reason})"
            )
    content = Path(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(
            f"{path} is not the published archive: its SHA-256 is not {SHA256}; place it there again"
        )
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return np.loadtxt(archive.extractfile("CaliforniaHousing/cal_housing.data"), delimiter=",")  # type: ignore[arg-type]


REGRESSIONS = {"ones": _ones, "california_housing": _california_housing}
