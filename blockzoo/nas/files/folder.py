"""A folder of dataset files: which parts are there, and which file of each is read.

`blox-base-SEED`, `blox-ext-SEED`, `blox-env-SEED`, `blox-info`, `blox-bench-DEVICE`, each in any format. Formats may be mixed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from blockzoo.core.arguments import path_of, texts_of
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.io import SUFFIXES, read_dataset_file
from blockzoo.nas.files.table import Table

_NAME = re.compile(r"blox-(?:(base|ext|env)-(\d+)|(info)|(bench)-(.+))")
PICKLE = "pickle"


class FilePart(NamedTuple):
    """Which part of a dataset a file holds: `base`, `ext`, `env` of a seed, `bench` of a device, or `info`."""

    kind: str
    key: int | str | None = None

    @property
    def stem(self) -> str:
        """The name of its file, without suffix."""
        return f"blox-{self.kind}" if self.key is None else f"blox-{self.kind}-{self.key}"


EXPECTED = {"base": "training", "ext": "training", "env": "env", "info": "static", "bench": "benchmarking"}
"""What `dataset_type` a file of each kind states."""


def part_of(path: Path) -> FilePart | None:
    """The part that a file holds by its name; None for another file."""
    match = _NAME.fullmatch(path.stem)
    if not match or path.suffix.removeprefix(".").lower() not in SUFFIXES:
        return None
    kind, seed, info, bench, device = match.groups()
    return FilePart(kind, int(seed)) if kind else FilePart(info) if info else FilePart(bench, device)


@dataclass(frozen=True)
class Folder:
    """The dataset files of a folder.

    Args:
        path: the folder.
        files: for each part its files by suffix.
        order: suffixes, best first.
        allow_pickle: may pickles be opened?
    """

    path: Path
    files: Mapping[FilePart, Mapping[str, Path]]
    order: Sequence[str]
    allow_pickle: bool = False

    @staticmethod
    def open(
        path: str | os.PathLike[str], preferred_ext: Sequence[str] | None = None, allow_pickle: bool = False
    ) -> Folder:
        """Look at a folder.

        Args:
            path: of the folder; `~` is the home folder.
            preferred_ext: suffixes in order of preference; others are not read. By default native, blox, csv, and
                pickle where allowed.
            allow_pickle: may pickles be opened?

        Raises:
            UsageError: an unknown suffix.
            DataError: no such folder, or no dataset file in it.
        """
        preferred = [] if preferred_ext is None else texts_of(preferred_ext, "preferred_ext")
        order = [ext.removeprefix(".") for ext in preferred] or list(SUFFIXES)
        if unknown := [ext for ext in order if ext not in SUFFIXES]:
            raise UsageError(f"preferred_ext {unknown}: formats are {', '.join(SUFFIXES)}")
        folder = path_of(path, "folder").expanduser()
        if not folder.is_dir():
            raise DataError(
                f"{folder} is no folder; `blockzoo nas download` says where the published files are"
            )
        files: dict[FilePart, dict[str, Path]] = {}
        for file in sorted(folder.iterdir()):
            if (part := part_of(file)) and file.is_file():
                files.setdefault(part, {})[file.suffix.removeprefix(".").lower()] = file
        if not files:
            raise DataError(
                f"{folder}: no dataset file in it; they are named blox-base-0, blox-ext-0, blox-info, blox-env-0 or "
                f"blox-bench-DEVICE, with one of the suffixes {', '.join(SUFFIXES)}"
            )
        return Folder(folder, files, order, allow_pickle)

    def keys(self, kind: str) -> list[int | str]:
        """Seeds (as numbers) or devices (as text) of the parts of a kind, in order."""
        keys = [part.key for part in self.files if part.kind == kind and part.key is not None]
        return sorted(keys, key=lambda key: (isinstance(key, str), key))

    def file(self, part: FilePart) -> Path | None:
        """The file that a part is read from; None where it has none.

        Raises:
            DataError: only a pickle, and pickles are not allowed.
        """
        there = self.files.get(part, {})
        for ext in self.order:
            if ext in there and (ext != PICKLE or self.allow_pickle):
                return there[ext]
        if PICKLE in there and PICKLE in self.order:
            raise DataError(
                f"{there[PICKLE]} is the only file of {part.stem}, and a pickle can run code: allow_pickle=True "
                "(--allow-pickle) opens it with a reader of plain values"
            )
        return None

    def read(self, part: FilePart) -> tuple[Header, Table] | None:
        """Header and table of a part; None where it has no file.

        Raises:
            DataError: damaged, or it says it is another part than its name.
        """
        file = self.file(part)
        if file is None:
            return None
        header, table = read_dataset_file(file, allow_pickle=self.allow_pickle)
        faults = misnamed(part, header, table)
        if faults:
            raise DataError(f"{file}: {'; '.join(faults)}")
        return header, table


def misnamed(part: FilePart, header: Header, table: Table) -> list[str]:
    """In what a file is not the part that its name says, a few words each."""
    faults = []
    if header["dataset_type"] != EXPECTED[part.kind]:
        faults.append(f"its dataset_type is {header['dataset_type']}, by its name {EXPECTED[part.kind]}")
    if part.kind in ("base", "ext") and header.get("part", part.kind) != part.kind:
        faults.append(f"its part is {header['part']}")
    stated = header.get("device" if part.kind == "bench" else "seed")
    if part.key is not None and stated is not None and stated != part.key:
        faults.append(f"it is of {stated}, by its name of {part.key}")
    if "model_hash" not in table:
        faults.append("it has no column model_hash")
    return faults
