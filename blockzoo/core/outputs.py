"""Where results go: a folder with the store, the CSV, the checkpoints and the spool."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blockzoo.core.errors import RequestError, StoreError
from blockzoo.core.store import Store
from blockzoo.core.table import Row, export_csv, read_csv, rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """The files of one results folder, all known from `--output` (a folder, or the path of the CSV)."""

    folder: Path
    stem: str = "results"

    @classmethod
    def at(cls, output: str | Path) -> Outputs:
        """`--output results/` or `--output results/run7.csv`; the suffix in whatever case.

        Raises:
            RequestError: a file that is neither.
        """
        path = Path(output)
        if path.suffix.lower() in (".csv", ".sqlite"):
            return cls(path.parent, path.stem)
        if path.exists() and not path.is_dir():
            raise RequestError(f"--output {path} is a file: name a folder, or a path that ends in .csv")
        return cls(path)

    @property
    def csv(self) -> Path:
        """The exported table."""
        return self.folder / f"{self.stem}.csv"

    @property
    def database(self) -> Path:
        """The results store, which the table is made from."""
        return self.folder / f"{self.stem}.sqlite"

    @property
    def spool(self) -> Path:
        """Records on their way into the store."""
        return self.folder / f".{self.stem}-spool"

    @property
    def lock(self) -> Path:
        """Held by the one writer."""
        return self.folder / f".{self.stem}.lock"

    def checkpoint(self, fingerprint: str) -> Path:
        """Where a trial saves each epoch."""
        return self.folder / "checkpoints" / f"{fingerprint}.ckpt"

    def weights(self, fingerprint: str) -> Path:
        """Where the last checkpoint of a trial stays, if it is to be kept."""
        return self.folder / "weights" / f"{fingerprint}.ckpt"

    def store(self, *, create: bool = True) -> Store:
        """Open the store.

        Raises:
            StoreError: it cannot be written, or its table could not be: where results are to come, this is known before them.
        """
        if create and self.csv.is_dir():
            raise StoreError(f"cannot write the table to {self.csv}: it is a folder; choose another --output")
        return Store(self.database, create=create)


def read_rows(source: str | Path, *, history: bool = False, timed_on: str | None = None) -> list[Row]:
    """The rows at a place: a results folder, a store (a file of any name), or a table, which is what ends in .csv.

    Args:
        source: the place.
        history: the superseded records of a store too.
        timed_on: which times of a store, see `rows`.

    Raises:
        RequestError, StoreError: there is neither.
    """
    if is_table(source):
        return read_csv(source)
    store = open_store(source)
    latencies = store.records("latency", history=True)  # a network timed in another way has older times too
    return rows(store.records("trial", history=history), latencies, timed_on=timed_on)


def is_table(source: str | Path) -> bool:
    """Whether the place is a table, by its name: it ends in .csv, in whatever case."""
    return Path(source).suffix.lower() == ".csv" and not Path(source).is_dir()


def open_store(source: str | Path) -> Store:
    """The store at a place, to be read: a results folder, or the file."""
    path = Path(source)
    return Store(path if path.is_file() else Outputs.at(path).database, create=False)


def all_rows(store: Store) -> list[Row]:
    """The results table of a store: its trials with their latencies."""
    return rows(store.records("trial"), store.records("latency", history=True))


def export(outputs: Outputs, store: Store) -> Path:
    """Write the store's table as CSV.

    Returns:
        Where (beside a file that is not ours). Where it could not be written, which is said, the store: it has all rows.
    """
    try:
        return export_csv(all_rows(store), outputs.csv)
    except StoreError as error:
        log.warning(f"{error}; all rows are in {outputs.database}, and `blockzoo results` shows them")
        return outputs.database


def rows_of(store: Store, fingerprints: Sequence[str]) -> list[Row]:
    """The rows of some trials, in their order; a trial without a record has none."""
    found = {row["fingerprint"]: row for row in all_rows(store)}
    return [found[f] for f in fingerprints if f in found]
