"""Where results go: a folder with the store, the CSV, the checkpoints and the spool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blockzoo.core.store import Store
from blockzoo.core.table import Row, export_csv, rows


@dataclass(frozen=True)
class Outputs:
    """The files of one results folder, all known from `--output` (a folder, or the path of the CSV)."""

    folder: Path
    stem: str = "results"

    @classmethod
    def at(cls, output: str | Path) -> Outputs:
        """`--output results/` or `--output results/run7.csv`."""
        path = Path(output)
        return cls(path.parent, path.stem) if path.suffix in (".csv", ".sqlite") else cls(path)

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
        """Open the store."""
        return Store(self.database, create=create)


def all_rows(store: Store) -> list[Row]:
    """The results table of a store: its trials with their latencies."""
    return rows(store.records("trial"), store.records("latency"))


def export(outputs: Outputs, store: Store) -> Path:
    """Write the store's table as CSV; returns where (beside a file that is not ours)."""
    return export_csv(all_rows(store), outputs.csv)


def rows_of(store: Store, fingerprints: Sequence[str]) -> list[Row]:
    """The rows of some trials, in their order; a trial without a record has none."""
    found = {row["fingerprint"]: row for row in all_rows(store)}
    return [found[f] for f in fingerprints if f in found]
