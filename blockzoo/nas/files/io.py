"""Dataset files: read one, write one, whatever the format; the suffix says which when writing, the header when reading.

| suffix | payload | |
|---|---|---|
| `.native` | columns mapped from disk, with checksums | this project's own |
| `.blox` | packed bits, zlib | published |
| `.csv` | text | published |
| `.pickle` | a pickled list of rows, opened only with `allow_pickle=True` and then by a reader of plain values | published |

Published formats have no checksum, or none of their header: one is written beside each file, `NAME.sha256`, and compared on
reading where it is there.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blockzoo.core.arguments import path_of
from blockzoo.core.bounds import TooLarge
from blockzoo.core.checksums import beside, check_beside, write_beside
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.nas.files import blox as custom
from blockzoo.nas.files import native, pickled, text
from blockzoo.nas.files.checks import written_file
from blockzoo.nas.files.errors import DamagedFile, describe
from blockzoo.nas.files.header import LIMIT, Header, dump, parse
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.published import space_of

FORMATS: dict[str, Any] = {"native": native, "custom": custom, "csv": text, "pickle": pickled}
"""By the name that headers use, best first; each module has `read` and `write`."""
FORMAT_OF_SUFFIX = {".native": "native", ".blox": "custom", ".csv": "csv", ".pickle": "pickle"}
has_C = True
"""Published name: can .blox files be decoded fast? Here always."""
SUFFIXES = tuple(suffix.removeprefix(".") for suffix in FORMAT_OF_SUFFIX)


def read_dataset_file(
    path: str | os.PathLike[str], fast: bool = True, *, allow_pickle: bool = False
) -> tuple[Header, Table]:
    """The header and the columns of a dataset file.

    Args:
        path: a file in any of the formats; its header says in which.
        fast: of the published function, where it chooses a compiled decoder; here decoding is always fast.
        allow_pickle: open a pickle, with a reader that builds plain values and refuses everything else.

    Returns:
        header: what the file says of itself, by field.
        table: columns by name; `table["val_top1"]` is an array (rows, epochs) of percent, `table[0]` the first row as a list.

    Raises:
        DataError: no such file, damaged, or a pickle that was not allowed. Memory stays within what the file's size allows.
    """
    path = path_of(path, "path")
    with _named(path):
        return _read(path.expanduser(), os.fspath(path), allow_pickle=allow_pickle)


def _read(place: Path, name: str, *, allow_pickle: bool, verified: bool = False) -> tuple[Header, Table]:
    """`read_dataset_file`, its errors without the path.

    Args:
        place: path of the file.
        name: of the file, for what is said of it.
        allow_pickle: may it be a pickle?
        verified: it was just written, so that no checksum lies beside it yet.
    """
    raw = _mapped(place)
    header, start = parse(raw[:LIMIT].tobytes())
    try:
        space_of(header)
    except DataError as error:
        raise DamagedFile(str(error)) from None
    kind = header["format"]
    if kind not in FORMATS:
        raise DamagedFile(f"format {describe(kind)}: one of {', '.join(FORMATS)} is known")
    if kind == "pickle" and not allow_pickle:
        raise DamagedFile("a pickle can run code: it is opened only with allow_pickle=True (--allow-pickle)")
    if kind == "native":
        return header, Table(native.read(header, raw[start:], head=raw[:start].tobytes(), name=name))
    if verified or (kind == "custom" and not beside(place).exists()):  # a .blox has a checksum of its columns
        return header, Table(FORMATS[kind].read(header, raw[start:]))
    with ThreadPoolExecutor(1) as other:  # both read all of the file once
        checked = other.submit(check_beside, place)
        if kind != "custom":  # quicker to compare than to parse
            checked.result()
        table = Table(FORMATS[kind].read(header, raw[start:]))
        checked.result()
    return header, table


def write_dataset_file(
    path: str | os.PathLike[str], header: Mapping[str, Any], table: Mapping[str, Any]
) -> Path:
    """Write a dataset file, in the format of its suffix; the file appears whole, as it is read again, or not at all.

    Args:
        path: ends in .native, .blox, .csv or .pickle.
        header: as read, or your own with version, search_space, dataset_type and columns (by default those of the table).
        table: columns by name, as read or as lists, arrays, a data frame.

    Raises:
        UsageError: another suffix, or columns other than the header says.
        DataError: values that the format cannot hold, with their column; the disk is full or closed.
        CheckFailed: what is read again is not what was to be written.
    """
    path = path_of(path, "path")
    kind = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: end the name in {', '.join(FORMAT_OF_SUFFIX)}, which says the format")
    names = [str(name) for name in table]
    header = {"version": 1, "columns": names, **header}
    if list(header["columns"]) != names:
        raise UsageError(f"{path}: the header has the columns {header['columns']}, the table {names}")
    with _named(path):
        columns = table if isinstance(table, Table) else Table(table)
        written, pieces = FORMATS[kind].write(header, columns.stored)
        start = dump(written)

        def fill(temporary: Path) -> None:
            with temporary.open("wb") as file:
                file.write(start)
                file.writelines(pieces)
            read = _read(temporary, os.fspath(path), allow_pickle=True, verified=True)
            written_file(os.fspath(path), (header, columns), read)
            beside(path).unlink(missing_ok=True)  # a file without its checksum is better than with another's

        write_atomically(path, fill)
        if kind != "native":
            write_beside(path)
    return path


def _mapped(path: Path) -> memoryview:
    """The bytes of a file, mapped; taken from the disk as they are used."""
    # a pipe opens at once, and is then refused, rather than waiting for somebody who writes
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DamagedFile("it is no file")
        if not os.fstat(file.fileno()).st_size:
            raise DamagedFile("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the path in front of what is wrong with it."""
    try:
        yield
    except (DamagedFile, TooLarge) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{os.fspath(path)}: this machine has not the memory to hold it") from None
