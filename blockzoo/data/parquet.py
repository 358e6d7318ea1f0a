"""Labelled images from Parquet files in the layout of Hugging Face: an image column and a label column."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from blockzoo.core.bounds import allowance, check_room
from blockzoo.core.documents import first_line
from blockzoo.core.errors import DataError
from blockzoo.core.extras import how_to_install
from blockzoo.core.text import plain
from blockzoo.data.cache import cached_array, stamps
from blockzoo.data.decoding import opened
from blockzoo.data.images import Images
from blockzoo.data.trees import SHOWN

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8


_Piece = tuple[Path, int, Any]  # file, first row, encoded images
IMAGE_COLUMNS = ("img", "image")
FORMATS = ("PNG", "JPEG")
ROWS = 64  # per piece of work
AT_ONCE = 16  # pieces that are held encoded


def read_parquet(
    name: str, files: Sequence[Path], count: int, side: int, label_columns: Sequence[str]
) -> Images:
    """The `count` square colour images of the files, in their order, from the cache where they are there.

    The image column holds encoded bytes, or a struct with a field `bytes`.

    Raises:
        DataError: pyarrow is missing, or the files are damaged or hold something else; all faults of the
            files' heads at once, before memory is taken, then the first few images that cannot be read.
    """

    def decode(out: np.ndarray) -> None:
        fill_images(name, files, label_columns, out)

    def read_labels(out: np.ndarray) -> None:
        fill_labels(name, files, label_columns, out)

    stamp = stamps(files)
    # the labels first: they are small, and may be refused
    labels = cached_array(f"{name}-labels-v1", (stamp, label_columns), (count,), np.int64, read_labels)
    images = cached_array(f"{name}-images-v1", stamp, (count, 3, side, side), np.uint8, decode)
    return Images(images, labels)


def fill_labels(
    name: str, files: Sequence[Path], label_columns: Sequence[str], out: Int[np.ndarray, " N"]
) -> None:
    """Read the labels into `out` (count,)."""
    out[:] = _labels(_open(name, files, len(out), label_columns))


def fill_images(
    name: str, files: Sequence[Path], label_columns: Sequence[str], out: UInt8[np.ndarray, "N C H W"]
) -> None:
    """Decode the images into `out` (count, 3, side, side), a few pieces at a time."""
    sources = _open(name, files, len(out), label_columns)
    faults: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in _groups(_pieces(sources), allowance(sum(path.stat().st_size for path in files)) // 4):
            outcomes = pool.map(partial(_decode_piece, out=out), group)
            faults += [fault for some in outcomes for fault in some]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(f"{'; '.join(faults[:SHOWN])}{more}. Fetch these files anew")


def _pieces(sources: Sequence[_Source]) -> Iterator[_Piece]:
    """Encoded images by file and first row."""
    first = 0
    for source in sources:
        for column in _columns(source, source.image):
            yield source.path, first, column
            first += len(column)


def _groups(pieces: Iterable[_Piece], most: int) -> Iterator[list[_Piece]]:
    """Some pieces at a time, of about so many bytes at most."""
    group: list[_Piece] = []
    for piece in pieces:
        group.append(piece)
        if len(group) == AT_ONCE or sum(column.nbytes for _, _, column in group) > most:
            yield group
            group = []
    if group:
        yield group


class _Source(NamedTuple):
    path: Path
    file: Any  # pyarrow.parquet.ParquetFile
    image: str
    label: str
    rows: int  # of a batch


def _open(name: str, files: Sequence[Path], count: int, label_columns: Sequence[str]) -> list[_Source]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{files[0]}: reading Parquet needs pyarrow: {how_to_install('parquet')}") from None
    sources, faults = [], []
    for path in files:
        try:
            file = pq.ParquetFile(path)
            rows = _rows_at_once(path, file.metadata)
        except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
            faults.append(f"{path} is not a whole Parquet file ({first_line(error)})")
            continue
        names = file.schema_arrow.names
        image = next((c for c in IMAGE_COLUMNS if c in names), None)
        label = next((c for c in label_columns if c in names), None)
        if image is None or label is None:
            wanted = " or ".join(IMAGE_COLUMNS if image is None else label_columns)
            faults.append(
                f"{path} has no column {wanted}; its columns are {plain(', '.join(names), lines=False)}"
            )
        elif not pa.types.is_integer(file.schema_arrow.field(label).type):
            faults.append(
                f"{path}: column {label} holds {file.schema_arrow.field(label).type}, not whole numbers"
            )
        else:
            sources.append(_Source(path, file, image, label, rows))
    rows = sum(source.file.metadata.num_rows for source in sources)
    if not faults and rows != count:
        faults.append(f"{_all(files)} {'holds' if len(files) == 1 else 'hold'} {rows} rows, not {count}")
    if faults:
        raise DataError(
            f"dataset {name} is truncated, or another one: {'; '.join(faults)}. Fetch these files anew"
        )
    return sources


def _rows_at_once(path: Path, metadata: Any) -> int:
    """Rows of a batch, so that they fit even where each is as large as a whole group: one image can stand there for all.

    Sizes are those of groups: asking pyarrow for a column of a damaged file can end the process.

    Raises:
        TooLarge: what the file says of itself, uncompressed, is more than its size allows.
    """
    chunks: list[int] = [
        max(0, metadata.row_group(g).total_byte_size) for g in range(metadata.num_row_groups)
    ]
    allowed = allowance(path.stat().st_size)
    check_room(sum(chunks), allowed, str(path))
    return max(1, min(ROWS, allowed // (2 * max([1, *chunks]))))


def _labels(sources: Sequence[_Source]) -> np.ndarray:
    columns = [np.concatenate([np.asarray(column) for column in _columns(s, s.label)]) for s in sources]
    if any(column.dtype.kind not in "iu" for column in columns):  # integers with gaps come as floats
        raise DataError(
            f"{_all([s.path for s in sources])}: some labels are missing (null). Fetch these files anew"
        )
    return np.concatenate(columns)


def _columns(source: _Source, name: str) -> Iterator[Any]:
    """The column in pieces, the field `bytes` of it where it is a struct."""
    import pyarrow as pa

    try:
        for batch in source.file.iter_batches(batch_size=source.rows, columns=[name]):
            column = batch.column(name)
            check_room(
                batch.nbytes, allowance(source.path.stat().st_size), f"{source.path}: {len(batch)} rows"
            )
            yield column.field("bytes") if pa.types.is_struct(column.type) else column
    except DataError:
        raise
    except (OSError, KeyError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise DataError(
            f"{source.path}: column {name} cannot be read ({first_line(error)}). Fetch this file anew"
        ) from error


def _decode_piece(piece: _Piece, out: np.ndarray) -> list[str]:
    """Decode into out[first : first + len(encoded)]; what could not be, in words."""
    path, first, encoded = piece
    faults = []
    side = out.shape[-1]
    for row, content in enumerate(encoded, first):
        try:
            picture = io.BytesIO(content.as_py())
            image = opened(picture, f"{path}: image {row} cannot be decoded", FORMATS, (side, side))
        except (DataError, TypeError) as error:  # no bytes at all
            faults.append(str(error) if isinstance(error, DataError) else f"{path}: image {row} is missing")
        else:
            out[row] = np.asarray(image).transpose(2, 0, 1)
    return faults


def _all(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files))
