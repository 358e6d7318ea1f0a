"""Records as a file to hand on: one JSON text a line, then their number, compressed. `blockzoo store merge` reads it again."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.record import Record, plain
from blockzoo.core.store import Store

SUFFIX = ".jsonl.gz"
END = "records"
"""What the last line counts."""
MOST_OF_A_LINE = 2**26
"""Bytes: more than any record has; a file of few bytes can hold a line without end."""


def is_record_file(path: Path) -> bool:
    """By its name."""
    return path.name.endswith(SUFFIX)


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records in their order; equal records make equal bytes. How many they were.

    Raises:
        UsageError: the name has another ending.
        StoreError: the file cannot be written.
    """
    if not is_record_file(path):
        raise UsageError(f"records are written to a file NAME{SUFFIX}, not to {path.name}")
    count = 0

    def write(temporary: Path) -> None:
        nonlocal count
        with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            for count, record in enumerate(records, 1):  # noqa: B007
                file.write(record.to_json().encode() + b"\n")
            file.write(json.dumps({END: count}).encode() + b"\n")

    write_atomically(path, write)
    return count


def export_records(store: Store, path: Path, beside: Iterable[Path] = ()) -> int:
    """Write the records of a store to a file, each once, but for those that other such files hold: how many they were.

    Of records that are equal word for word the first is written, as `store merge` copies one.

    Raises:
        UsageError: the name has another ending, or another file cannot be read.
        Damaged: another file is not as it was written.
        StoreError: the store cannot be read, or the file not be written.
    """
    there = {_digest(record) for other in beside for record in read_records(other)}

    def new() -> Iterator[Record]:
        for record in store.each_record():
            if (digest := _digest(record)) not in there:
                there.add(digest)
                yield record

    return write_records(path, new())


def _digest(record: Record) -> bytes:
    return hashlib.sha256(record.to_json().encode()).digest()


def as_store(path: Path, folder: Path) -> Store:
    """The records of a file as a store in a folder of its own; all of them or, where one is damaged, none.

    Raises:
        Damaged: the file is not as it was written.
        UsageError: it cannot be read.
    """
    store = Store(folder / "results.sqlite")
    store.add(*read_records(path))
    return store


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, one after the other; what the checksum says is known at its end.

    Raises:
        Damaged: the file is not as it was written, or no such file; the line is named.
        UsageError: it is not there, or cannot be read.
    """
    number, ended = 0, False
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(MOST_OF_A_LINE):
                if ended or not line.endswith(b"\n"):
                    raise Damaged("it goes on behind its end, is cut off, or is longer than a record can be")
                value = plain(line)
                ended = isinstance(value, dict) and set(value) == {END}
                if not ended:
                    number += 1
                    yield Record.of(value)
                elif value[END] != number:
                    raise Damaged(f"of {value[END]} records {number} are there")
            if not ended:
                raise Damaged("its end is missing")
    except (Damaged, UnicodeDecodeError) as error:
        raise Damaged(f"{path}, record {number}: {error}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"{path} is not as it was written: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
