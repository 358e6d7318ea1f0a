"""Where results go: a folder with the store, the CSV, the checkpoints and the spool."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from blockzoo.core.csv_file import read_rows as csv_rows
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.reading import Asked
from blockzoo.core.store import Store
from blockzoo.core.table import COLUMNS, Row


@dataclass(frozen=True)
class Outputs:
    """The files of one results folder, all known from `--output` (a folder, or the path of the CSV)."""

    folder: Path
    stem: str = "results"

    @classmethod
    def at(cls, output: str | Path) -> Outputs:
        """`--output results/` or `--output results/run7.csv`; the suffix in whatever case.

        Raises:
            UsageError: a file that is neither.
        """
        path = Path(output)
        if path.suffix.lower() in (".csv", ".sqlite"):
            return cls(path.parent, path.stem)
        if path.exists() and not path.is_dir():
            raise UsageError(f"--output {path} is a file: name a folder, or a path that ends in .csv")
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

    @property
    def sweep(self) -> Path:
        """What the last sweep here was asked for, and its trials."""
        return self.folder / f".{self.stem}-sweep.json"

    @property
    def running(self) -> Path:
        """What the sweep that runs here does at the moment."""
        return self.folder / f".{self.stem}-running.json"

    @property
    def cancel(self) -> Path:
        """Being there, it asks that sweep to stop."""
        return self.folder / f".{self.stem}-cancel"

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


def read_rows(
    source: str | Path,
    *,
    history: bool = False,
    timed_on: str | None = None,
    where: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """The rows at a place: a results folder, a store (a file of any name), or a table, which is what ends in .csv.

    Args:
        source: the place.
        history: the superseded records of a store too.
        timed_on: which times of a store, see `rows`.
        where: values that columns are to have, as texts.

    Raises:
        UsageError, StoreError: there is neither.
    """
    return list(each_row(source, Asked(where, history, timed_on)))


def each_row(source: str | Path, asked: Asked) -> Iterator[Row]:
    """The same, row by row. Blocks of one name and other code than the newest bear the digest of theirs in their name."""
    if is_table(source):
        path, several = Path(source), _has_codes(Path(source))
        codes = newest_codes(_codes_of(csv_rows(path, verify=True))) if several else {}
        rows: Iterator[Row] = (row for row in csv_rows(path, verify=not several) if asked.fits(row))
    else:
        store = open_store(source)
        if not (codes := newest_codes(store.codes())):
            return store.rows(asked)
        rows = store.rows(replace(asked, columns=tuple(dict.fromkeys((*asked.columns, "block", "code")))))
    names = dict.fromkeys(asked.columns)
    told_apart = (_told_apart(row, codes) for row in rows)
    return (
        row if len(names) == len(COLUMNS) else {name: row.get(name) for name in names} for row in told_apart
    )


def newest_codes(codes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The newest code of each block that has several.

    Args:
        codes: blocks and the digests of their code, oldest first.
    """
    seen: dict[str, dict[str, None]] = {}
    for block, code in codes:
        of_block = seen.setdefault(block, {})
        of_block.pop(code, None)
        of_block[code] = None
    return {block: list(of_block)[-1] for block, of_block in seen.items() if len(of_block) > 1}


def _told_apart(row: Row, codes: Mapping[str, str]) -> Row:
    newest, code = codes.get(row.get("block") or ""), row.get("code") or ""
    return (
        row
        if newest is None or code == newest
        else row | {"block": f"{row['block']} (code {code[:8] or 'unknown'})"}
    )


def _has_codes(path: Path) -> bool:
    """Whether a table has the column at all."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return "code" in next(csv.reader([file.readline(1 << 16)]), [])
    except (OSError, csv.Error):
        return False


def _codes_of(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    return ((row["block"], str(row.get("code") or "")) for row in rows)


def is_table(source: str | Path) -> bool:
    """Whether the place is a table, by its name: it ends in .csv, in whatever case."""
    return Path(source).suffix.lower() == ".csv" and not Path(source).is_dir()


def open_store(source: str | Path) -> Store:
    """The store at a place, to be read: a results folder, or the file."""
    path = Path(source)
    return Store(path if path.is_file() else Outputs.at(path).database, create=False)
