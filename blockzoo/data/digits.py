"""Handwritten digits that ship with scikit-learn."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.cache import check_memory
from blockzoo.data.contracts import DATASETS
from blockzoo.data.images import ImageData, Images, moments, resize, stratified, take

COUNT, SIDE, DEPTH = 1797, 8, 16


@DATASETS.register("digits")
class Digits:
    """1,797 handwritten digits, 8x8 resized to 3x32x32; bundled with scikit-learn, no download.

    Split into stratified fifths by a fixed seed: three train, one validation, one test.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998.
    """

    split = "stratified-fifths-v1"

    def load(
        self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True
    ) -> ImageData:
        """Read the file beside scikit-learn's code, without importing scikit-learn (0.7 s)."""
        spec = importlib.util.find_spec("sklearn")
        path = Path(str(spec.origin)).parent / "datasets/data/digits.csv.gz" if spec else None
        if path is None or not path.is_file():
            raise DataError(f"digits: {path or 'scikit-learn'} is not installed; pip install scikit-learn")
        try:
            table = np.loadtxt(path, delimiter=",")
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"digits: {path} cannot be read ({error}); reinstall scikit-learn") from error
        if table.shape != (COUNT, SIDE * SIDE + 1):
            raise DataError(
                f"digits: {path} holds {table.shape}, not {(COUNT, SIDE * SIDE + 1)}; reinstall scikit-learn"
            )
        labels = table[:, -1].astype(np.int64)
        planes = np.round(table[:, :-1] * (255 / DEPTH)).astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
        size = image_size or 32
        check_memory(
            f"digits at {size} x {size} pixels", 5 * COUNT * size**2
        )  # grey, in three colours, and by split
        grey = resize(planes, np.empty((COUNT, 1, size, size), np.uint8))
        everything = Images(np.repeat(grey, 3, axis=1), labels)
        fifths = stratified(labels, 5)
        train = take(everything, np.sort(np.concatenate(fifths[:3])))
        mean, std = moments(train)
        return ImageData(
            name="digits",
            split=self.split,
            train=train,
            val=take(everything, fifths[3]),
            test=take(everything, fifths[4]),
            num_classes=10,
            mean=mean,
            std=std,
            flip=False,
            class_names=tuple("0123456789"),
            source=str(path),
        )
