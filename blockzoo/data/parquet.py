"""Labelled images from Parquet files in the layout of Hugging Face: an image column and a label column."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached_array, stamps
from blockzoo.data.decoding import opened
from blockzoo.data.images import Images
from blockzoo.data.trees import SHOWN

IMAGE_COLUMNS = ("img", "image")
FORMATS = ("PNG", "JPEG")
ROWS = 500  # per piece of work


def read_parquet(
    name: str, files: Sequence[Path], count: int, side: int, label_columns: Sequence[str]
) -> Images:
    """The `count` square colour images of the files, in their order, from the cache where they are there.

    The image column holds encoded bytes, or a struct with a field `bytes`.

    Raises:
        DataError: pyarrow is missing, or the files are damaged or hold something else; all faults of the
            files' heads at once, before memory is taken, then the first few images that cannot be read.
    """

    def fill_images(out: np.ndarray) -> None:
        _decode(_open(name, files, count, label_columns), out)

    def fill_labels(out: np.ndarray) -> None:
        out[:] = _labels(_open(name, files, count, label_columns))

    story = stamps(files)
    # the labels first: they are small, and may be refused
    labels = cached_array(f"{name}-labels-v1", (story, label_columns), (count,), np.int64, fill_labels)
    images = cached_array(f"{name}-images-v1", story, (count, 3, side, side), np.uint8, fill_images)
    return Images(images, labels)


class _Source(NamedTuple):
    path: Path
    file: Any  # pyarrow.parquet.ParquetFile
    image: str
    label: str


def _open(name: str, files: Sequence[Path], count: int, label_columns: Sequence[str]) -> list[_Source]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"{files[0]}: reading Parquet needs pyarrow; pip install 'blockzoo[parquet]'"
        ) from None
    sources, faults = [], []
    for path in files:
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            faults.append(f"{path} is not a whole Parquet file ({_first_line(error)})")
            continue
        names = file.schema_arrow.names
        image = next((c for c in IMAGE_COLUMNS if c in names), None)
        label = next((c for c in label_columns if c in names), None)
        if image is None or label is None:
            wanted = " or ".join(IMAGE_COLUMNS if image is None else label_columns)
            faults.append(f"{path} has no column {wanted}; its columns are {', '.join(names)}")
        elif not pa.types.is_integer(file.schema_arrow.field(label).type):
            faults.append(
                f"{path}: column {label} holds {file.schema_arrow.field(label).type}, not whole numbers"
            )
        else:
            sources.append(_Source(path, file, image, label))
    rows = sum(source.file.metadata.num_rows for source in sources)
    if not faults and rows != count:
        faults.append(f"{_all(files)} {'holds' if len(files) == 1 else 'hold'} {rows} rows, not {count}")
    if faults:
        raise DataError(
            f"dataset {name} is truncated, or another one: {'; '.join(faults)}. Fetch these files anew"
        )
    return sources


def _labels(sources: Sequence[_Source]) -> np.ndarray:
    columns = [np.concatenate([np.asarray(column) for column in _columns(s, s.label)]) for s in sources]
    if any(column.dtype.kind not in "iu" for column in columns):  # integers with gaps come as floats
        raise DataError(
            f"{_all([s.path for s in sources])}: some labels are missing (null). Fetch these files anew"
        )
    return np.concatenate(columns)


def _decode(sources: Sequence[_Source], out: np.ndarray) -> None:
    pieces: list[tuple[Path, int, list[Any]]] = []
    first = 0
    for source in sources:
        for column in _columns(source, source.image):
            pieces.append((source.path, first, column.to_pylist()))
            first += len(column)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [
            fault for found in pool.map(lambda piece: _decode_piece(*piece, out), pieces) for fault in found
        ]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(f"{'; '.join(faults[:SHOWN])}{more}. Fetch these files anew")


def _columns(source: _Source, name: str) -> Iterator[Any]:
    """The column in pieces, the field `bytes` of it where it is a struct."""
    import pyarrow as pa

    try:
        for batch in source.file.iter_batches(batch_size=ROWS, columns=[name]):
            column = batch.column(name)
            yield column.field("bytes") if pa.types.is_struct(column.type) else column
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(
            f"{source.path}: column {name} cannot be read ({_first_line(error)}). Fetch this file anew"
        ) from error


def _decode_piece(path: Path, first: int, encoded: list[Any], out: np.ndarray) -> list[str]:
    """Decode into out[first : first + len(encoded)]; what could not be, in words."""
    faults = []
    side = out.shape[-1]
    for row, content in enumerate(encoded, first):
        try:
            image = opened(io.BytesIO(content), f"{path}: image {row} cannot be decoded", FORMATS)
        except (DataError, TypeError) as error:  # no bytes at all
            faults.append(str(error) if isinstance(error, DataError) else f"{path}: image {row} is missing")
            continue
        if image.size != (side, side):
            width, height = image.size
            faults.append(f"{path}: image {row} has {width}x{height} pixels, not {side}x{side}")
        else:
            out[row] = np.asarray(image).transpose(2, 0, 1)
    return faults


def _all(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
