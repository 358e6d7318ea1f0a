"""Damage of a results folder: found, told, and set aside by name, so that all the rest goes on.

A record that is not as it was written is moved to the table `quarantine`, with the reason; a store whose pages are damaged is
kept as `NAME.sqlite.quarantine`, and what can be read of it becomes the store. A spool file is renamed to `NAME.json.quarantine`
by `execution/spool.py`. Nothing is deleted.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from blockzoo.core import columns
from blockzoo.core.csv_file import Mark, is_as_written
from blockzoo.core.database import Database
from blockzoo.core.errors import Damaged
from blockzoo.core.files import remove
from blockzoo.core.outputs import Outputs
from blockzoo.core.schema import OURS, SEALED, about
from blockzoo.core.sealed import Faults, insert, miscounted, parsed
from blockzoo.core.store import Store

QUARANTINE = ".quarantine"


@dataclass
class Report:
    """What was found in a results folder.

    Args:
        records: how many can be read, by kind.
        damaged: records that cannot, by number, and why.
        faults: sentences on the rest: pages, counts, columns, the CSV.
        pages: whether pages of the file are damaged.
        done: what was done about it.
    """

    records: dict[str, int] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    pages: bool = False
    done: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.faults)


def check(outputs: Outputs) -> Report:
    """Read every page and every record; write nothing.

    Raises:
        StoreError: there is no store, or it is another program's, or of a newer version.
    """
    report = Report()
    try:
        store = Store(outputs.database, create=False)
        with store.database.reading() as db:
            _check_pages(db, report)
            faults = Faults()
            fresh = about(db, "columns") == columns.VERSION
            for number, record in parsed(db, "1", (), faults):
                report.records[record.kind] = report.records.get(record.kind, 0) + 1
                if fault := columns.fault_of(record):
                    faults.note(number, Damaged(fault))
                elif fresh and (name := columns.differs(db, number, record)):
                    report.faults.append(f"record {number}: its column {name} is not what the record says")
            report.damaged |= faults.damaged
            report.faults += [*miscounted(db), *(columns.without_record(db) if fresh else ())]
    except Damaged as error:
        report.pages = True
        report.faults.append(str(error))
    if (mark := Mark.of(outputs.csv)) is not None and not is_as_written(outputs.csv, mark):
        report.faults.append(f"{outputs.csv} was altered or torn since it was written")
    return report


def _check_pages(db: sqlite3.Connection, report: Report) -> None:
    lines = [str(line) for (line,) in db.execute("PRAGMA integrity_check(5)")]
    if lines != ["ok"]:
        report.pages = True
        report.faults.append(f"damaged pages: {'; '.join(lines)}")


def repair(outputs: Outputs) -> Report:
    """Set aside what cannot be read; count and make the columns anew. What is sound stays as it is.

    Raises:
        StoreError: see `check`; or another process writes to the store.
    """
    report = check(outputs)
    if report.is_sound:
        return report
    if report.pages:
        backup, count = _salvage(outputs.database)
        report.done.append(f"{count} records were read from the damaged file, which is kept as {backup.name}")
    store = Store(outputs.database)
    with store.database.writing() as db:
        count = _set_aside(db)
        db.execute("DELETE FROM totals")
        db.execute("INSERT INTO totals SELECT kind, count(*) FROM records GROUP BY kind")
        store.make_columns(db)
    if count:
        report.done.append(
            f"{count} records were set aside in the table quarantine of {outputs.database.name}"
        )
    report.done.append("the counts and the columns were made anew")
    return report


def _set_aside(db: sqlite3.Connection) -> int:
    """Move the records that cannot be read to the table `quarantine`; how many."""
    names = ", ".join(SEALED)
    db.execute(f"CREATE TABLE IF NOT EXISTS quarantine (id, reason, {names}, facts)")
    faults = Faults()
    for number, record in parsed(db, "1", (), faults):
        if fault := columns.fault_of(record):
            faults.note(number, Damaged(fault))
    for number, reason in faults.damaged.items():
        db.execute(
            f"INSERT INTO quarantine SELECT r.id, ?, {', '.join(f'r.{name}' for name in SEALED)}, e.facts FROM records r"
            " LEFT JOIN environments e ON e.id = r.environment_id WHERE r.id = ?",
            (reason, number),
        )
        db.execute("DELETE FROM records WHERE id = ?", (number,))
    return len(faults.damaged)


def _salvage(path: Path) -> tuple[Path, int]:
    """Make the store anew from the records that can be read of a damaged file, which is kept; where, and how many they are."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    store, count = Store(fresh), 0
    with _records_alone(path) as damaged, store.database.writing() as db:
        for number in range(1, _most(damaged) + 1):
            try:
                records = list(parsed(damaged, "r.id = ?", (number,), Faults()))
            except sqlite3.Error:
                continue
            for _, record in records:
                insert(db, record, number)
                count += 1
    if not count:
        remove(fresh)
        raise Damaged(
            f"{path} is damaged, and no record of it can be read; it is left as it is: move it away"
        )
    backup, tries = path.with_name(path.name + QUARANTINE), 1
    while backup.exists():
        backup, tries = path.with_name(f"{path.name}{QUARANTINE}-{tries}"), tries + 1
    os.link(path, backup)
    Path(f"{path}-journal").unlink(missing_ok=True)  # of the damaged file
    fresh.replace(path)
    return backup, count


@contextmanager
def _records_alone(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a damaged file whose schema has the tables that a store cannot be without, and no index, view or column table."""
    with TemporaryDirectory(prefix="blockzoo-store-") as folder:
        copy = Database(Path(folder) / "copy.sqlite")
        shutil.copyfile(path, copy.path)
        names = ", ".join(f"'{name}'" for name in OURS)
        with copy.plain() as db:
            db.execute("PRAGMA writable_schema = ON")
            condition = f"tbl_name IN ({names}) AND (type = 'table' OR name LIKE 'sqlite_autoindex_%')"
            db.execute(f"DELETE FROM sqlite_master WHERE NOT ({condition})")
        with copy.reading() as db:
            yield db


def _most(db: sqlite3.Connection) -> int:
    """No record has a higher number."""
    for query in ("SELECT max(id) FROM records", "SELECT sum(records) FROM totals"):
        try:
            if number := db.execute(query).fetchone()[0]:
                return int(number)
        except (sqlite3.Error, TypeError, ValueError):
            continue
    return (
        int(db.execute("PRAGMA page_count").fetchone()[0]) * 20
    )  # no record has less than a twentieth of a page
