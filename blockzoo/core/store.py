"""The results store: one SQLite file, one writer, every record durable before the next trial starts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from blockzoo.core import columns, faults
from blockzoo.core.database import Database
from blockzoo.core.errors import Damaged, StoreError
from blockzoo.core.reading import Asked, Reading, Table
from blockzoo.core.record import Record
from blockzoo.core.schema import about, is_ours, migrate
from blockzoo.core.sealed import Faults, holds_none, insert, miscounted, parsed, parts
from blockzoo.core.table import REPORTED, Row

log = logging.getLogger(__name__)


class Store:
    """Records on disk. Reading writes nothing and waits for nobody; writing is for one process at a time.

    A file of another program is recognised before anything is written, and left as it is. A record that is not as it was
    written is left out where records are read, and said; `core/repair.py` sets it aside.

    Args:
        path: of the file.
        create: make it where there is none, and bring it to today's schema; without, the store is opened to be read and
            needs no right to write.

    Raises:
        StoreError: no store there, another program's file, one of a newer version, one that cannot be read, or cannot be
            written with `create`.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self.database = Database(self.path)
        if self.path.exists() and not self.path.is_file():
            raise StoreError(f"{self.path} is no file, so no results store; choose another --output")
        holds_one = self.path.is_file() and self._is_store()
        if not create and not holds_one:
            raise StoreError(
                f"there is no results store {self.path}; run `blockzoo train` or `blockzoo sweep` first"
            )
        if create:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"cannot make the folder {self.path.parent}: {error.strerror}; choose another --output"
                ) from error
            with self.database.writing(create=True) as db:
                migrate(db, self.path)
                if about(db, "columns") != columns.VERSION:
                    self.make_columns(db)

    def _is_store(self) -> bool:
        with self.database.reading() as db:
            return is_ours(db, self.path)

    # --- writing ----------------------------------------------------------------------------------------

    def make_columns(self, db: sqlite3.Connection) -> None:
        """Make the columns of all records anew; said where it takes long."""
        (count,) = db.execute("SELECT count(*) FROM records").fetchone()
        if count > 5000:
            log.warning("%s: the columns of %s records are made, once", self.path, f"{count:,}")
        columns.create_anew(db)
        for number, record in parsed(db, "kind IN ('trial', 'latency')", (), Faults()):
            try:
                columns.put(db, number, record)
            except Damaged as error:
                log.warning("%s, record %d: %s", self.path, number, error)
        columns.show(db)
        db.execute("UPDATE about SET value = ? WHERE name = 'columns'", (columns.VERSION,))

    def add(self, *records: Record) -> None:
        """Write records, all or none; they are on the disk when this returns."""
        with self.database.writing() as db:
            for record in records:
                insert(db, record)
            faults.point("store.inserted")
        faults.point("store.committed")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process writes to the store meanwhile."""
        with self.database.writing():
            yield

    # --- reading ----------------------------------------------------------------------------------------

    def holds(self, record: Record) -> bool:
        """Whether this very record is stored, and not only another of its fingerprint."""
        identifier, _, body = parts(record)
        with self.database.reading() as db:
            query = (
                "SELECT 1 FROM records WHERE kind = ? AND fingerprint = ? AND environment_id = ? AND body = ?"
            )
            wanted = (record.kind, record.fingerprint, identifier, body)
            return db.execute(query, wanted).fetchone() is not None

    def records(
        self, kind: str = "trial", *, history: bool = False, fingerprint: str | None = None
    ) -> list[Record]:
        """Records of a kind, oldest first: the newest of each fingerprint, or all with `history`; of one fingerprint alone."""
        if fingerprint is not None:
            return self._records_of(kind, fingerprint, history)
        condition, values = "r.kind = ?", [kind]
        if not history:
            condition += (
                " AND r.id IN (SELECT max(id) FROM records NOT INDEXED WHERE kind = ? GROUP BY fingerprint)"
            )
            values.append(kind)
        with self.database.reading() as db:
            if holds_none(db, kind):
                return []
            with self._faults(db, kind, scan=True) as faults:
                return [record for _, record in parsed(db, condition, values, faults, scan=True)]

    def each_record(self) -> Iterator[Record]:
        """All records of all kinds, superseded ones too, in the order in which they were written."""
        with self.database.reading() as db, self._faults(db) as faults:
            for _, record in parsed(db, "TRUE", [], faults):
                yield record

    def _records_of(self, kind: str, fingerprint: str, history: bool) -> list[Record]:
        condition, values = "r.kind = ? AND r.fingerprint = ?", [kind, fingerprint]
        if not history:
            condition += " AND r.id = (SELECT max(id) FROM records WHERE kind = ? AND fingerprint = ?)"
            values *= 2
        with self.database.reading() as db, self._faults(db, kind) as faults:
            return [record for _, record in parsed(db, condition, values, faults)]

    def statuses(self, kind: str = "trial") -> dict[str, str]:
        """The newest status of each fingerprint."""
        query = "SELECT fingerprint, status FROM records NOT INDEXED WHERE kind = ? ORDER BY id"
        with self.database.reading() as db, self._faults(db, kind, scan=True):
            return dict(db.execute(query, (kind,)).fetchall())

    def own_statuses(self) -> dict[str, str]:
        """The same of trials, but for results that others handed in and nobody reran: they answer no request of one's own."""
        handed_in = self.reported()
        return {of: status for of, status in self.statuses().items() if of not in handed_in}

    def reported(self) -> set[str]:
        """Fingerprints of trials whose newest result others handed in, and nobody reran."""
        with self.database.reading() as db:
            return reported_in(db)

    def status(self, fingerprint: str, kind: str = "trial") -> str | None:
        """The newest status of one fingerprint; None where there is no record of it."""
        query = "SELECT status FROM records WHERE kind = ? AND fingerprint = ? ORDER BY id DESC LIMIT 1"
        with self.database.reading() as db:
            row: tuple[str] | None = db.execute(query, (kind, fingerprint)).fetchone()
        return row[0] if row else None

    def rows(self, asked: Asked = Asked()) -> Iterator[Row]:  # noqa: B008
        """Rows of the results table, oldest first, from the columns."""
        with self.reader(asked) as reader:
            yield from reader.rows()

    def codes(self) -> Iterator[tuple[str, str]]:
        """Of each trial of a block of somebody's own code, oldest first, the block and the digest of that code; "" where it is
        not known.
        """
        with self.database.reading() as db, self._faults(db) as faults:
            schema = "main" if about(db, "columns") == columns.VERSION else self._with_cells(db, faults)
            own = f"SELECT DISTINCT block FROM {schema}.trials WHERE code > ''"
            yield from db.execute(
                f"SELECT block, code FROM {schema}.trials WHERE block IN ({own}) ORDER BY id"
            )

    @property
    def name(self) -> str | None:
        """What tells this store from any other; None for one of an earlier version."""
        with self.database.reading() as db:
            return about(db, "store")

    @contextmanager
    def reader(self, asked: Asked, *, few: bool = False) -> Iterator[Reading]:
        """What reads rows; records that lack their cells are read for it.

        Args:
            asked: which rows.
            few: they are few, by their numbers: nothing is counted or scanned, which takes longer the more there are.
        """
        kinds = () if few else ("trial", "latency")
        with self.database.reading() as db, self._faults(db, *kinds) as faults:
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()
            bounded = replace(asked, upto=min(asked.upto, last))
            sound = few and about(db, "columns") == columns.VERSION
            schema = "main" if sound else self._with_cells(db, faults)
            yield (Reading if few else Table)(db, bounded, schema, faults)

    def _with_cells(self, db: sqlite3.Connection, faults: Faults) -> str:
        """The schema whose tables have the cells of all records: the store's own, unless some lack them."""
        anew = about(db, "columns") != columns.VERSION
        lacking = {}
        for kind, table in columns.OF_KIND.items():
            count = f"SELECT (SELECT count(*) FROM records WHERE kind = '{kind}')"
            if anew or db.execute(f"{count} = (SELECT count(*) FROM {table})").fetchone() != (1,):
                lacking[kind] = "" if anew else f"AND r.id NOT IN (SELECT id FROM {table})"
        if not lacking:
            return "main"
        missing = (
            entry
            for kind, beside in lacking.items()
            for entry in parsed(db, f"r.kind = ? {beside}", [kind], faults)
        )
        for number, error in columns.in_memory(db, missing, anew=anew):
            faults.note(number, error)
        return "temp"

    @contextmanager
    def _faults(self, db: sqlite3.Connection, *kinds: str, scan: bool = False) -> Iterator[Faults]:
        """Collects the faults of a reading, counts the records, and says what was found at the end."""
        faults = Faults()
        yield faults
        faults.sentences += miscounted(db, *kinds, scan=scan) if kinds else []
        faults.say(self.path)


def reported_in(db: sqlite3.Connection) -> set[str]:
    """Fingerprints of trials whose newest record says that others handed it in; in a store of any version."""
    tier = "CASE WHEN json_valid(body) THEN json_extract(body, '$.values.tier') END"
    newest = "SELECT max(id) FROM records WHERE kind = 'trial' GROUP BY fingerprint"
    query = f"SELECT fingerprint FROM records WHERE instr(body, ?) AND {tier} = ? AND id IN ({newest})"
    return {of for (of,) in db.execute(query, (f'"{REPORTED}"', REPORTED))}
