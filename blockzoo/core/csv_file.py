"""The results table as a CSV file: read line by line, written whole or not at all, grown by the rows that are new.

CSV has no checksum of its own: beside `results.csv` lies `.results.csv.check` with the number of its bytes and their CRC-32, and
with how far into the store it goes. A file that was altered since is told from one that was not.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blockzoo.core import faults
from blockzoo.core.documents import describe
from blockzoo.core.errors import Damaged, StoreError, UsageError
from blockzoo.core.files import open_own, write_atomically, write_text
from blockzoo.core.said import say_once
from blockzoo.core.table import COLUMNS, TEXTS, Row, impossible
from blockzoo.core.text import csv_lines, uncell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mark:
    """What lies beside a table that was written here.

    Args:
        size, crc: bytes of the file, and their CRC-32.
        rows: lines below the header.
        store: which store the rows come from, and `last`, the last record of it that they show.
        way: the way of the times in them.
        tail: the number of the last row's trial, and size and crc before that row.
        behind: rows that show an earlier state of the store.
        kept: rows of trials that the store does not hold.
        time: when the file was changed last, nanoseconds.
    """

    size: int
    crc: int
    rows: int = 0
    store: str = ""
    last: int = 0
    way: str | None = None
    tail: tuple[int, int, int] | None = None
    behind: int = 0
    kept: int = 0
    time: int = 0

    @classmethod
    def of(cls, path: Path) -> Mark | None:
        """The mark of a table; None where it has none, or none that can be read."""
        try:
            values = json.loads(mark_of(path).read_text(encoding="utf-8"))
            tail = values.pop("tail", None)
            numbers = [values[name] for name in ("size", "crc", "rows", "last", "behind", "kept")] + list(
                tail or ()
            )
            if all(type(number) is int for number in numbers):
                return cls(**values, tail=None if tail is None else (tail[0], tail[1], tail[2]))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            pass
        return None

    def write(self, path: Path) -> None:
        """Put it beside the table."""
        write_text(mark_of(path), json.dumps(asdict(self)) + "\n")


def mark_of(path: Path) -> Path:
    """Where the mark of a table lies."""
    return path.with_name(f".{path.name}.check")


# --- reading ----------------------------------------------------------------------------------------


def read_csv(path: str | Path, *, verify: bool = True) -> list[Row]:
    """Read a results CSV; numbers become numbers, empty cells None. Unknown columns are kept.

    A last line that does not end is no row, and said.

    Args:
        path: of the file.
        verify: compare it with its mark, and say so where it has none.

    Raises:
        UsageError: no such file, not a CSV, without the columns `block` and `position`, or with a value that cannot be.
        Damaged: it was altered since it was written.
    """
    return list(read_rows(Path(path), verify=verify))


def read_rows(path: Path, *, verify: bool = False, but: Collection[str] = ()) -> Iterator[Row]:
    """The same, row by row, but for those of some fingerprints."""
    if verify:
        _verify(path)
    with _errors(path), path.open(encoding="utf-8-sig", newline="") as file:
        torn, number = False, 0

        def lines() -> Iterator[str]:
            nonlocal torn, number
            for line in file:
                number += 1
                torn = not line.endswith(("\n", "\r"))
                yield line

        reader = csv.DictReader(lines(), strict=True)
        before = 0
        try:
            header = list(reader.fieldnames or ())
            reader.fieldnames = [uncell(name) for name in header]
            if not {"block", "position"} <= set(header):
                raise UsageError(f"{path} is not a results table: it has no columns 'block' and 'position'")
            if twice := [name for name, times in Counter(reader.fieldnames).items() if times > 1]:
                raise UsageError(
                    f"{path}: the column {describe(twice[0])} is there twice; remove one of them"
                )
            for row in reader:
                if torn:
                    break
                before = number
                if row.get("fingerprint") in but:
                    continue
                if list(row.values()) != header:  # as tables joined with `cat` have
                    yield _read_row(row, reader, path)
        except csv.Error as error:
            torn = torn and number == before + 1  # not a cell that swallowed the lines after it
            if not torn:
                raise UsageError(f"{path}, after line {before or 1}: {error}") from error
        if torn:
            log.warning("%s, line %d: it does not end, so it may be torn, and is no row", path, number)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _verify(path: Path) -> None:
    """Compare a table with its mark. Rows that were appended to it are said to be unverified, and so is a table without."""
    mark = Mark.of(path)
    if mark is None:
        from blockzoo.core.checksums import check_beside

        check_beside(path)
        return
    with _errors(path):
        sound, beyond = is_as_written(path, mark), path.stat().st_size - mark.size
    if not sound:
        raise Damaged(
            f"{path} was altered or torn since it was written: `blockzoo store export {path.parent}` writes it anew from its "
            f"store; without {mark_of(path).name} it is read as it is"
        )
    if beyond:
        say_once(f"{path}: its last {beyond} bytes are unverified: they were appended since")


def is_as_written(path: Path, mark: Mark) -> bool:
    """Whether the file begins with the bytes that the mark is of."""
    crc = done = 0
    with path.open("rb") as file:
        while chunk := file.read(min(1 << 20, mark.size - done)):
            crc, done = zlib.crc32(chunk, crc), done + len(chunk)
    return (done, crc) == (mark.size, mark.crc)


def _read_row(row: dict[str, Any], reader: csv.DictReader[str], path: Path) -> Row:
    """One line with its types."""
    place = f"{path}, line {reader.line_num}"
    if None in row or None in row.values():
        raise UsageError(
            f"{place}: {len(reader.fieldnames or ())} cells expected; is the file torn, or two tables in one?"
        )
    typed = {name: _typed(name, cell) for name, cell in row.items()}
    typed["block"] = typed["block"] or ""
    wrong = [
        f"{n} {describe(v)}"
        for n, v in typed.items()
        if n in COLUMNS and n not in TEXTS and isinstance(v, str)
    ]
    if wrong:
        raise UsageError(f"{place}: no number in {', '.join(wrong[:3])}; is it another table?")
    if faults := impossible(typed):
        raise UsageError(f"{place} cannot be: {', '.join(faults[:3])}; correct it, or remove the line")
    return typed


def _typed(name: str, cell: str) -> Any:
    value = cell or None if name in TEXTS else _number(cell)
    return uncell(value) if isinstance(value, str) else value


def _number(cell: str) -> Any:
    if cell == "":
        return None
    if "_" in cell or not cell.isascii():  # 1_000 is a number to Python alone
        return cell
    for convert in (int, float) if len(cell) < 20 else (float,):  # no whole number of more than 64 bits
        try:
            return convert(cell)
        except ValueError:
            continue
    return cell


# --- writing ----------------------------------------------------------------------------------------


def ours(path: Path) -> Path:
    """The path, or the first one beside it, at which there is nothing, or a table that was written here."""
    target, number = path, 0
    while not _is_ours(target):
        number += 1
        target = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return target


def _is_ours(path: Path) -> bool:
    if not path.exists():
        return True
    if path.is_dir():
        raise StoreError(f"cannot write the table to {path}: it is a folder")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(1 << 16).strip().split(",")
        if "fingerprint" not in header or not set(header) <= set(COLUMNS):
            return False
        mark = Mark.of(path)
        if mark is None or mark.size != path.stat().st_size or not is_as_written(path, mark):
            for _ in read_rows(path):
                pass
    except (OSError, UnicodeDecodeError, UsageError):
        return False
    return True


def kept_rows(path: Path, present: Iterable[str]) -> Iterator[Row]:
    """Rows of an earlier table at `path` of other trials than those."""
    if path.exists():
        yield from read_rows(path, but=set(present))


def write_csv(path: Path, table: Iterable[Row]) -> Mark:
    """Write a table, whole or not at all; the mark that is to be written beside it then."""
    counter = _Counted()

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
            for line in csv_lines(table, COLUMNS):
                counter.take(line)
                file.write(line)
        mark_of(path).unlink(missing_ok=True)  # from here on it is of another file

    write_atomically(path, fill)
    return counter.mark(path)


def grow_csv(path: Path, mark: Mark, table: Iterable[Row], *, from_tail: bool) -> Mark:
    """Append rows, in the place of the last one with `from_tail`; the mark that is to be written beside it then.

    Killed at any moment it leaves whole rows up to where the mark there ends, and what is beyond is unverified.

    Raises:
        StoreError: the disk is full, or the file cannot be written.
    """
    if from_tail and mark.tail:
        mark = replace(mark, size=mark.tail[1], crc=mark.tail[2], rows=mark.rows - 1, tail=None)
        replace(mark, last=0, store="").write(path)
    counter = _Counted(mark)
    lines = list(csv_lines(table, COLUMNS))[1:]
    for line in lines:
        counter.take(line)
    try:
        with os.fdopen(open_own(path, os.O_RDWR), "r+b") as file:
            file.truncate(mark.size)
            file.seek(mark.size)
            file.write("".join(lines).encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        faults.point("table.grown")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return counter.mark(path)


class _Counted:
    """Bytes and CRC-32 of lines that follow those of a mark, and what they were before the last of them."""

    def __init__(self, mark: Mark | None = None) -> None:
        start = mark or Mark(0, 0, rows=-1)  # the header is no row
        self._size, self._crc, self._rows, self._before = start.size, start.crc, start.rows, start.tail

    def take(self, line: str) -> None:
        content = line.encode("utf-8", "replace")
        self._before = (0, self._size, self._crc)
        self._size, self._crc, self._rows = (
            self._size + len(content),
            zlib.crc32(content, self._crc),
            self._rows + 1,
        )

    def mark(self, path: Path) -> Mark:
        return Mark(self._size, self._crc, self._rows, tail=self._before, time=path.stat().st_mtime_ns)
