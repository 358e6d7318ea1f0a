"""The table of a store as `results.csv`: grown by what is new, at a cost that does not depend on the store's size.

A new record can change rows that are written already: a trial that was repeated, times of a network that has other trials, times
in a way that is now the one of most trials. A table of up to `SMALL` rows is then written anew. A larger one is left as it is,
but for the new rows, and said to be behind; `blockzoo store export` writes it anew.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blockzoo.core.csv_file import Mark, grow_csv, kept_rows, ours, write_csv
from blockzoo.core.errors import StoreError
from blockzoo.core.outputs import Outputs
from blockzoo.core.reading import Asked, Reading
from blockzoo.core.store import Store
from blockzoo.core.table import COLUMNS, Row
from blockzoo.core.text import csv_lines

log = logging.getLogger(__name__)

SMALL = 10_000
"""Rows of a table that is written anew where earlier rows change: half a second."""


def export(outputs: Outputs, store: Store, *, anew: bool = False) -> Path:
    """Bring the store's table up to date.

    Args:
        outputs: where it lies.
        store: whose table it is.
        anew: write all of it, whatever is there.

    Returns:
        Where (beside a file that is not ours). Where it could not be written, which is said, the store: it has all rows.
    """
    try:
        with store.alone():  # two exports at a time would write over each other
            if not anew and _grow(outputs.csv, store):
                return outputs.csv
            return _write(outputs.csv, store)
    except StoreError as error:
        log.warning(f"{error}; all rows are in {outputs.database}, and `blockzoo results` shows them")
        return outputs.database


def _write(path: Path, store: Store) -> Path:
    """The whole table; rows of an earlier one whose trials the store does not hold come first."""
    path = ours(path)
    with store.reader(Asked()) as reader:
        way, last = reader.way(), reader.asked.upto
        newest = reader.number_of_last()
        kept = list(kept_rows(path, reader.fingerprints()))
        mark = write_csv(path, itertools.chain(kept, reader.rows()))
    mark = replace(mark, store=store.name or "", last=last, way=way, kept=len(kept))
    replace(mark, tail=_tail(mark, newest) if mark.rows > mark.kept else None).write(path)
    return path


def _tail(mark: Mark, number: int | None) -> tuple[int, int, int] | None:
    """Where the row of the last trial begins."""
    return None if mark.tail is None or number is None else (number, *mark.tail[1:])


def _grow(path: Path, store: Store) -> bool:
    """Append what is new to a table that is as we left it; whether that is all there is to do."""
    mark = Mark.of(path)
    if mark is None or mark.kept or not mark.store or mark.store != store.name or not _is_as_left(path, mark):
        return False
    with store.reader(Asked(), few=True) as reader:
        if reader.schema != "main":
            return False
        news = _news(reader, mark)
        if (news.changed or news.way != mark.way) and mark.rows <= SMALL:
            return False
        if mark.way is not None:  # a table has times of one way
            news = replace(news, way=mark.way)
        if not (news.ids or news.from_tail):
            replace(mark, last=reader.asked.upto, behind=mark.behind + news.changed).write(path)
            return True
        query = replace(reader.asked, ids=news.ids, way=news.way)
        grown = grow_csv(path, mark, replace(reader, asked=query).rows(), from_tail=news.from_tail)
    behind = mark.behind + news.changed
    grown = replace(grown, store=mark.store, last=reader.asked.upto, way=news.way, behind=behind)
    replace(grown, tail=_tail(grown, news.ids[-1])).write(path)
    if news.changed:
        log.warning(
            "%s: %d of its rows are behind the store; `blockzoo store export` writes it anew", path, behind
        )
    return True


@dataclass(frozen=True)
class _News:
    """What records after the last one of a table do to it: trials to append, whether in place of its last row, how many others
    change.
    """

    ids: Sequence[int]
    from_tail: bool
    changed: int
    way: str | None


def _news(reader: Reading, mark: Mark) -> _News:
    tail = mark.tail[0] if mark.tail else None
    ids, changed, gone = reader.since(mark.last)
    if tail in changed:
        ids = [tail, *ids]
    return _News(ids, tail in changed | gone, len((changed | gone) - {tail}), reader.way())


def _is_as_left(path: Path, mark: Mark) -> bool:
    """By its size, its header and the time of its change; what lies in it is verified where it is read."""
    try:
        stat = path.lstat()  # a link is replaced, not written through
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv_lines((), COLUMNS))
            return (
                stat.st_size == mark.size
                and file.readline(len(header)) == header
                and mark.time == stat.st_mtime_ns
            )
    except (OSError, UnicodeDecodeError):
        return False


def rows_of(store: Store, fingerprints: Sequence[str]) -> list[Row]:
    """The rows of some trials, in their order; a trial without a record has none."""
    with store.reader(Asked(), few=True) as reader:
        query = replace(reader.asked, ids=reader.newest(fingerprints), way=reader.way() or "")
        rows = {row["fingerprint"]: row for row in replace(reader, asked=query).rows()}
    return [rows[f] for f in fingerprints if f in rows]
