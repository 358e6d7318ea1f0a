"""One SQLite file: opened to be read without writing or waiting, or to be written by one at a time; its errors as ours.

The journal is a plain truncated rollback journal with full synchronisation: older SQLite versions can corrupt a write-ahead log
on reset, and a record is worth one fsync.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from blockzoo.core.errors import Damaged, StoreError
from blockzoo.core.text import plain

PATIENCE = 30.0
"""Seconds that a writer waits for another one, and a reader for a commit that has begun."""
SOON = 0.5
"""Seconds that a reader waits for a lock before it reads a copy."""


class Database:
    """The file of a results store.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._has_no_write_ahead_log = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write.

        Where another program keeps the file locked, or a writer was killed and undoing what it began would be a write, it is
        one to a copy.
        """
        with self._ours(), ExitStack() as stack:
            self._refuse_write_ahead_log()
            try:
                db = stack.enter_context(closing(self._connect(self.path, "ro", SOON)))
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                db.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")
            except sqlite3.OperationalError as error:
                journal = self._journal()
                if not _is_busy(error) and not (journal.is_file() and journal.stat().st_size):
                    raise
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="blockzoo-store-")))
                db = stack.enter_context(closing(self._connect(self._copy(folder), "rw", SOON)))
            yield db

    @contextmanager
    def plain(self) -> Iterator[sqlite3.Connection]:
        """A connection as SQLite has it, each statement on its own: to a file that is nobody else's."""
        with self._ours(), closing(self._connect(self.path, "rw", SOON)) as db:
            yield db

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, durable when this ends and undone where it raises; the only one of all processes."""
        with self._ours(), closing(self._connect(self.path, "rwc" if create else "rw", PATIENCE)) as db:
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()

    def _connect(self, path: Path, mode: str, patience: float) -> sqlite3.Connection:
        address = f"{path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None)
        db.text_factory = _text
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        return db

    def _journal(self) -> Path:
        return Path(f"{self.path.resolve()}-journal")

    def _refuse_write_ahead_log(self) -> None:
        """Looked at once: closing the file would give up the locks that this process has on it."""
        if self._has_no_write_ahead_log:
            return
        with self.path.open("rb") as file:
            head = file.read(20)
        if head[18:20] == b"\x02\x02" and head.startswith(b"SQLite format 3"):
            raise sqlite3.DatabaseError(
                "it keeps a write-ahead log, which our stores never do: `PRAGMA journal_mode = DELETE` in the program that "
                "made it so gives it back"
            )
        self._has_no_write_ahead_log = True

    def _copy(self, folder: Path) -> Path:
        """The file as it was before or after a transaction of another process, whatever that does meanwhile.

        The journal of a transaction holds what it changes before it changes it: with the journal of a transaction that was
        going on before and after the copying, the copy is as before it; without any, and unchanged, it is whole.
        """
        copy = folder / "copy.sqlite"
        for _ in range(100):
            before = self._moment()
            shutil.copyfile(self.path, copy)
            after = self._moment()
            if before[0] == after[0] and (before[0] or before[1] == after[1]):
                Path(f"{copy}-journal").write_bytes(after[2])
                return copy
            time.sleep(0.05)
        raise sqlite3.OperationalError("database is locked")

    def _moment(self) -> tuple[bytes, tuple[int, int], bytes]:
        """Which transaction goes on (b"" for none), the file's size and time of change, and the journal."""
        try:
            journal = self._journal().read_bytes()
        except FileNotFoundError:
            journal = b""
        stat = self.path.stat()
        begun = journal[:8] == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
        return journal[12:16] if begun else b"", (stat.st_size, stat.st_mtime_ns), journal

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Errors of SQLite and of the system as ours: what is wrong, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error
        except (
            OverflowError,
            UnicodeDecodeError,
        ) as error:  # of SQLite's own sentence on a damaged schema, too
            raise Damaged(f"results store {self.path} is damaged ({error})") from error
        except OSError as error:
            raise StoreError(f"results store {self.path}: {error.strerror or error}") from error

    def _named(self, error: sqlite3.Error) -> StoreError:
        text, store = plain(str(error)), f"results store {self.path}"
        if not self.path.exists():
            return StoreError(
                f"{store} is gone: it, or its folder, was moved or deleted. Put it back, or name its new place as --output; "
                "a trial that was running left its checkpoint, or its record, where the folder was"
            )
        if _is_busy(error):
            return StoreError(
                f"{store}: another process has kept it locked for {PATIENCE:.0f} s; end that, or wait for it, and try again"
            )
        if "full" in text:
            return StoreError(f"{store}: {text}; free the disk, what was stored is intact")
        if "readonly" in text or "unable to open" in text:
            return StoreError(
                f"{store} cannot be written, or its folder cannot ({text}); choose another --output"
            )
        if (isinstance(error, sqlite3.DatabaseError) and "malformed" in text) or "no such" in text:
            return Damaged(
                f"{store} is damaged ({text}); `blockzoo store repair {self.path}` saves what can be read of it"
            )
        return StoreError(
            f"{self.path} is not a readable results store ({text}); it is left untouched: move it away, or choose another "
            "--output"
        )


def _is_busy(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _text(content: bytes) -> str:
    """Bytes that are no text are kept apart from every text, so that a seal does not fit them."""
    return content.decode("utf-8", "surrogateescape")
