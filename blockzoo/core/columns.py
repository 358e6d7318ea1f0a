"""The table's columns, kept in SQL beside the records, so that a table is read without reading a record.

`trials` has for each trial its cells of `COLUMNS`, `times` for each latency record the cells that it gives to the trials of its
network; the columns beside the cells are for finding. `ways` is a summary that every record keeps up to date: how many trials
have times in each way. All of it follows from the records alone, and each row has a seal. The view `results` shows the cells as
columns to other programs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, Damaged, UsageError
from blockzoo.core.record import Record, plain
from blockzoo.core.spec import fingerprint_of
from blockzoo.core.subject import as_stored
from blockzoo.core.table import COLUMNS, Row, time_columns, timing_key, trial_row, way_of

VERSION = fingerprint_of([3, list(COLUMNS)])
"""Of the cells that a record has: raise the number where the same record gives other ones."""
FINDING = ("block", "position", "dataset", "experiment_name", "comparable", "code")
"""Columns with an index."""
KNOWN = ("fingerprint", "timing_key", *FINDING, "cells")
"""Of a trial, under one seal."""
OF_TIMES = ("fingerprint", "way", "status", "reason", "cells")
OF_KIND = {"trial": "trials", "latency": "times"}
TABLES = {
    "trials": f"id INTEGER PRIMARY KEY, {', '.join(KNOWN)}, seal",
    "times": f"id INTEGER PRIMARY KEY, {', '.join(OF_TIMES)}, seal",
    "ways": "way PRIMARY KEY, trials, newest",
}
INDEXES = {
    "trials": (("fingerprint",), ("timing_key",), ("block", "position"), *((name,) for name in FINDING[2:])),
    "times": (("fingerprint",), ("status", "way", "fingerprint")),
    "ways": (),
}


def create(db: sqlite3.Connection, schema: str = "main") -> None:
    """Make the tables, empty."""
    for table, columns in TABLES.items():
        db.execute(f"CREATE TABLE {schema}.{table} ({columns})")
        for names in INDEXES[table]:
            db.execute(f"CREATE INDEX {schema}.{table}_by_{names[0]} ON {table} ({', '.join(names)})")


def create_anew(db: sqlite3.Connection) -> None:
    """Make the tables, empty, in place of those of this or another version."""
    db.execute("DROP VIEW IF EXISTS results")
    for table in TABLES:
        db.execute(f"DROP TABLE IF EXISTS {table}")
    create(db)


def show(db: sqlite3.Connection) -> None:
    """The cells as columns, for other programs."""
    cells = ", ".join(f"json_extract(cells, '$[{i}]') AS {name}" for i, name in enumerate(COLUMNS))
    db.execute("DROP VIEW IF EXISTS results")
    db.execute(f"CREATE VIEW results AS SELECT id, {cells} FROM trials")


def seal(*texts: object) -> int:
    """64 bits that differ, but for one chance in 1e19, where one of the texts does."""
    joined = "\x1f".join(map(str, texts))
    digest = blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def seal_of(stored: Iterable[object]) -> int:
    """The same of texts as they are stored: bytes in UTF-8; others as Python writes them."""
    joined = b"\x1f".join(
        [t if type(t) is bytes else str(t).encode("utf-8", "surrogatepass") for t in stored]
    )
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big", signed=True)


def put(db: sqlite3.Connection, number: int, record: Record, schema: str = "main") -> None:
    """Write what the newest record gives to the table, if it is of a kind that does.

    Raises:
        Damaged: no row can be made of it.
    """
    if (table := OF_KIND.get(record.kind)) is None:
        return
    values = _values(record)
    count = _count_trial if table == "trials" else _count_times
    count(db, number, values, schema)
    _insert(db, table, number, values, schema)


def insert(db: sqlite3.Connection, number: int, record: Record) -> None:
    """The same, but for the summary, which `count_ways` makes anew.

    Raises:
        Damaged: no row can be made of it.
    """
    if (table := OF_KIND.get(record.kind)) is not None:
        _insert(db, table, number, _values(record), "main")


def _insert(db: sqlite3.Connection, table: str, number: int, values: tuple[Any, ...], schema: str) -> None:
    marks = ", ".join("?" * (len(values) + 1))
    db.execute(f"INSERT INTO {schema}.{table} VALUES ({marks})", (number, *values))


def _count_trial(db: sqlite3.Connection, number: int, values: tuple[Any, ...], schema: str) -> None:
    """One trial more in the ways in which its network has times; one less where it supersedes an earlier one."""
    fingerprint, key, *_ = values
    earlier = f"SELECT timing_key FROM {schema}.trials WHERE fingerprint = ? ORDER BY id DESC LIMIT 1"
    for change, of in ((1, (key,)), (-1, db.execute(earlier, (fingerprint,)).fetchone())):
        if of is not None:
            ways = f"SELECT way FROM {schema}.times WHERE fingerprint = ? AND status = 'ok'"
            db.execute(f"UPDATE {schema}.ways SET trials = trials + ? WHERE way IN ({ways})", (change, *of))


def _count_times(db: sqlite3.Connection, number: int, values: tuple[Any, ...], schema: str) -> None:
    """All trials of the network more in this way, if it had no times in it before."""
    key, way, status, *_ = values
    if status != "ok":
        return
    before = f"SELECT 1 FROM {schema}.times WHERE fingerprint = ? AND way = ? AND status = 'ok'"
    is_timed = db.execute(before, (key, way)).fetchone() is not None
    newer = f"SELECT 1 FROM {schema}.trials n WHERE n.fingerprint = t.fingerprint AND n.id > t.id"
    trials = f"SELECT count(*) FROM {schema}.trials t WHERE t.timing_key = ? AND NOT EXISTS ({newer})"
    (more,) = (0,) if is_timed else db.execute(trials, (key,)).fetchone()
    db.execute(f"INSERT OR IGNORE INTO {schema}.ways VALUES (?, 0, 0)", (way,))
    db.execute(f"UPDATE {schema}.ways SET trials = trials + ?, newest = ? WHERE way = ?", (more, number, way))


def count_ways(db: sqlite3.Connection) -> None:
    """Make the summary `ways` anew, of all rows that there are."""
    newest = "SELECT max(id) FROM trials GROUP BY fingerprint"
    keys = f"SELECT timing_key AS key, count(*) AS n FROM trials WHERE id IN ({newest}) GROUP BY timing_key"
    timed = "SELECT way, fingerprint AS key, max(id) AS newest FROM times WHERE status = 'ok' GROUP BY way, fingerprint"
    db.execute("DELETE FROM ways")
    db.execute(
        "INSERT INTO ways SELECT way, coalesce(sum(n), 0), max(newest) "
        f"FROM ({timed}) LEFT JOIN ({keys}) USING (key) GROUP BY way"
    )


def in_memory(
    db: sqlite3.Connection, missing: Iterable[tuple[int, Record]], *, anew: bool
) -> Iterator[tuple[int, Damaged]]:
    """Put all cells into tables in memory: those that are stored, and those of records that lack them.

    Args:
        db: a connection that need not have the right to write.
        missing: records without cells, by number.
        anew: the cells that are stored are of another version.

    Yields:
        The records that no row can be made of, by number.
    """
    db.execute("PRAGMA temp_store = MEMORY")
    create(db, "temp")
    for table in () if anew else TABLES:
        db.execute(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")
    for number, record in missing:
        try:
            put(db, number, record, "temp")
        except Damaged as error:
            yield number, error


def _values(record: Record) -> tuple[Any, ...]:
    try:
        with as_stored():
            return _of_trial(record) if record.kind == "trial" else _of_times(record)
    except UsageError as error:
        raise Damaged(str(error)) from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"no row can be made of it: {type(error).__name__}: {error}") from None


def fault_of(record: Record) -> str:
    """Why no row can be made of a record; nothing where one can, or need not be."""
    try:
        if record.kind in OF_KIND:
            _values(record)
    except Damaged as error:
        return str(error)
    return ""


OF_THE_REGISTRY = frozenset("filler comparable num_blocks base_channels active_width active_blocks".split())
"""Columns that follow from which blocks are known too: where a record was made, there may have been others."""


def differs(db: sqlite3.Connection, number: int, record: Record, schema: str = "main") -> str | None:
    """The first column that is not what the record gives, or not as it was sealed; None where all are."""
    if (table := OF_KIND.get(record.kind)) is None:
        return None
    names = KNOWN if table == "trials" else OF_TIMES
    row = db.execute(
        f"SELECT {', '.join(names)}, seal FROM {schema}.{table} WHERE id = ?", (number,)
    ).fetchone()
    fresh = _values(record)
    cells, wanted = (_named(text) for text in (row[-2] if row else "{}", fresh[-2]))
    if other := next(
        (n for n in wanted if n not in OF_THE_REGISTRY and cells.get(n, ...) != wanted[n]), None
    ):
        return other
    if row and row[-1] == seal(*row[:-1]):
        return None
    return next((name for name, old, new in zip(names, row or (), fresh, strict=False) if old != new), "seal")


def without_record(db: sqlite3.Connection) -> list[str]:
    """Rows that are of no record, one sentence each."""
    sentences = []
    for kind, table in OF_KIND.items():
        query = f"SELECT id FROM {table} EXCEPT SELECT id FROM records WHERE kind = ?"
        sentences += [
            f"row {number} of the columns of {table} is of no record"
            for (number,) in db.execute(query, (kind,))
        ]
    return sentences


def _named(text: Any) -> Row:
    cells = plain(text)
    return cells if isinstance(cells, dict) else dict(zip(COLUMNS, cells, strict=False))


@CHECKS.register("stored-columns")
def check_columns(db: sqlite3.Connection, number: int, record: Record, schema: str = "main") -> float:
    """A row of the results table as it is read from the columns beside a record, against the row that the record itself gives.

    Catches: columns made by another version of the code than the one that reads them; columns that were written by hand.

    Tolerance: none, every cell is equal; columns that depend on which plugins are loaded are left out.

    Cost: one record is read with the first row of a table, 1 to 2 ms; once in a process 0.1 s for what reads specs.
    """
    if (name := differs(db, number, record, schema)) is not None:
        raise CheckFailed(
            f"check 'stored-columns' failed: record {number}, trial {record.fingerprint}, has another {name} in the columns of "
            "the table than in itself; `blockzoo store repair` makes the columns anew"
        )
    return 0.0


def _of_trial(record: Record) -> tuple[Any, ...]:
    row, key = trial_row(record), timing_key(record)
    cells = _dumped([_cell(name, row[name]) for name in COLUMNS])
    texts = (str(row[name] or "") for name in FINDING)
    values = (record.fingerprint, key, *texts, cells)
    return *values, seal(*values)


def _of_times(record: Record) -> tuple[Any, ...]:
    row: Row = time_columns(record) if record.status == "ok" else {}
    cells = _dumped({name: _cell(name, cell) for name, cell in row.items() if name in COLUMNS})
    values = (record.fingerprint, way_of(record), record.status, record.reason, cells)
    return *values, seal(*values)


def _cell(name: str, value: Any) -> Any:
    if not isinstance(value, int | float | str | None):
        raise ValueError(f"{name} cannot be {str(value)[:40]!r}")
    return value


def _dumped(cells: Any) -> str:
    return json.dumps(cells, separators=(",", ":"), allow_nan=False)
