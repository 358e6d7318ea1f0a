"""The door of datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from blockzoo.data.images import ImageData


class Dataset(Protocol):
    """Labelled images that carry their own shape, classes, mean, std and split; made without arguments."""

    def load(self, roots: Sequence[Path], *, image_size: int | None, download: bool) -> ImageData:
        """Find the images in one of the folders `roots`; DataError says what was expected where."""
        ...


@runtime_checkable
class StreamedDataset(Dataset, Protocol):
    """A dataset that can also leave its images in their files, for sets that are larger than memory."""

    def stream(self, roots: Sequence[Path], *, image_size: int | None) -> ImageData:
        """As `load`, each image decoded when a batch wants it."""
        ...

    def decoded_bytes(self, roots: Sequence[Path], *, image_size: int | None) -> int:
        """What all its images take in memory, decoded."""
        ...


DATASETS: Registry[Callable[[], Dataset]] = Registry("DATASETS", "dataset", methods=("load",))
