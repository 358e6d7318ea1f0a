"""SVHN from torchvision's layout: two Matlab files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.contracts import DATASETS
from blockzoo.data.images import ImageData, Images
from blockzoo.data.matlab import arrays
from blockzoo.data.places import DatasetNotFound

SIDE = 32


@DATASETS.register("svhn")
class SVHN:
    """99,289 house numbers of 32x32 in 10 classes: 73,257 to train and validate (a tenth), 26,032 test.

    Source: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS Workshops 2011.
    """

    name, split = "svhn", "nine-tenths-v1"
    counts: ClassVar[dict[str, int]] = {"train": 73_257, "test": 26_032}

    def load(
        self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True
    ) -> ImageData:
        """Look into each root, and its folder svhn/, for train_32x32.mat and test_32x32.mat."""
        places = [place for root in roots for place in (root, root / self.name, root / "SVHN")]
        folder = next((place for place in places if (place / "train_32x32.mat").is_file()), None)
        if folder is None:
            raise DatasetNotFound(
                self.name, places, "train_32x32.mat and test_32x32.mat", "is not downloaded by blockzoo"
            )
        splits = {
            split: read_mat(folder / f"{split}_32x32.mat", count) for split, count in self.counts.items()
        }
        return ImageData.held_out(
            **splits,
            name=self.name,
            split=self.split,
            num_classes=10,
            flip=False,
            class_names=tuple("0123456789"),
            source=str(folder),
        )


def read_mat(path: Path, count: int) -> Images:
    """Images X (32, 32, 3, N) and labels y (N, 1), where 10 stands for the digit 0.

    Raises:
        DataError: it is missing, truncated, or holds something else.
    """
    content = arrays(path, ("X", "y"), 3 * SIDE * SIDE * count)
    pixels, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
    if pixels.shape != (SIDE, SIDE, 3, count) or pixels.dtype != np.uint8 or len(labels) != count:
        raise DataError(f"{path} holds {pixels.dtype} {pixels.shape}, not uint8 {(SIDE, SIDE, 3, count)}")
    images = np.ascontiguousarray(
        pixels.transpose(3, 2, 0, 1)
    )  # (rows, columns, C, N) to (N, C, rows, columns)
    return Images(images, labels % 10)
