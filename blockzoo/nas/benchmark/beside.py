"""What is known of networks beside their training: parameters, where they were trained, how fast they run.

As in the published package each is a dataset of its own that can be opened alone, and an attribute of `Dataset`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from blockzoo.core.arguments import path_of
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.benchmark.lookup import Lookup
from blockzoo.nas.benchmark.queries import Answer, Architectures, of_one_or_many
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.io import read_dataset_file
from blockzoo.nas.files.settings import OF_THE_FILE, contradictions
from blockzoo.nas.files.table import Table, nested_vectors
from blockzoo.nas.space.macro import Architecture, ArchVector, MacroSpace
from blockzoo.nas.space.published import space_of

if TYPE_CHECKING:
    from typing_extensions import Self

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Parts = Mapping[Any, tuple[Header, Table]]
"""Header and table by seed or device."""


class Described(ABC):
    """What the header of a dataset says, by the published names."""

    space: MacroSpace

    @property
    @abstractmethod
    def header(self) -> Header:
        """What its files say together: their first header without what concerns one file alone, and all columns."""

    @property
    def version(self) -> int:
        """Version of the format."""
        return int(self.header["version"])

    @property
    def search_space(self) -> list[list[list[int]]]:
        """Its shape: the options of each coordinate by stage and node."""
        return self.space.shape

    @property
    def ops(self) -> list[str]:
        """Names of the operations."""
        return list(self.space.ops)

    @property
    def nodes(self) -> int:
        """Nodes of a cell."""
        return self.space.nodes

    @property
    def stages(self) -> int:
        """Cells of a network."""
        return self.space.stages

    @property
    def columns(self) -> list[str]:
        """Columns of the tables, the hash first."""
        return list(self.header["columns"])


class Beside(Described):
    """Tables of one kind, by seed or device.

    Args:
        dataset_files: a dataset file, or several that differ in seed or device alone.

    Raises:
        DataError: a file of another kind, or files that do not belong together.
    """

    kind = ""
    key: str | None = None

    def __init__(self, dataset_files: Files) -> None:
        parts: dict[Any, tuple[Header, Table]] = {}
        for path in several(dataset_files):
            header, table = read_typed(path, self.kind)
            key = header.get(self.key) if self.key else None
            if key in parts:
                raise DataError(f"{os.fspath(path)}: {self.key or self.kind} {key} is there twice")
            parts[key] = header, table
        self._hold(space_of(next(iter(parts.values()))[0]), parts)

    @classmethod
    def of(cls, space: MacroSpace, parts: Parts) -> Self:
        """The same from tables in memory."""
        instance = cls.__new__(cls)
        instance._hold(space, parts)
        return instance

    def _hold(self, space: MacroSpace, parts: Parts) -> None:
        headers = [header for header, _ in parts.values()]
        for key, header in zip(parts, headers, strict=True):
            if faults := contradictions(headers[0], header, stated_by_both=True):
                raise DataError(f"{self.kind} {key}: not of one benchmark: {'; '.join(faults)}")
        self.space = space
        self._headers = {key: header for key, (header, _) in parts.items()}
        self._tables = {key: Lookup(table, space) for key, (_, table) in parts.items()}

    @property
    def header(self) -> Header:
        first = next(iter(self._headers.values()))
        return {
            **{name: value for name, value in first.items() if name not in OF_THE_FILE},
            "dataset_type": self.kind,
            "columns": list(self._first.table),
        }

    @property
    def _first(self) -> Lookup:
        return next(iter(self._tables.values()))

    def __len__(self) -> int:
        return self._first.table.num_rows

    def __contains__(self, arch: object) -> bool:
        one: Any = arch
        try:
            return self._first.row(one) is not None
        except UsageError:
            return False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """(hash, values ...) of each network in the first file."""
        return ((text, *self.rows_of(text)[0]) for text in self._first.table["model_hash"].tolist())

    def rows_of(self, model_hash: str) -> list[list[Any]]:
        """The values of a network in each file, without its hash.

        Raises:
            KeyError: a file lacks it.
        """
        return [plain_values(part, model_hash, self.space) for part in self._tables.values()]


class StaticInfoDataset(Beside):
    """Parameters, FLOPs and vectors of networks, from one file blox-info."""

    kind = "static"

    def __init__(self, dataset_file: str | os.PathLike[str]) -> None:
        super().__init__([dataset_file])

    @of_one_or_many
    def params(self, arch: Architectures) -> Answer:
        """Parameters as the file states them."""
        return looked_up(self._first, "params", arch)

    @of_one_or_many
    def flops(self, arch: Architectures) -> Answer:
        """FLOPs as the file states them, see `Dataset.flops`."""
        return looked_up(self._first, "flops", arch)

    def arch_vec(self, arch: Architecture) -> ArchVector | None:
        """The vector that was trained, by stage and node; None for a network that the file lacks."""
        if (row := self._first.row(arch)) is None:
            return None
        stated = self._first.table.stored["arch_vec"].data[row : row + 1]
        vector: ArchVector = nested_vectors(stated, self.space.shape)[0]
        return vector

    def has(self, column: str) -> bool:
        """Does the file have this column?"""
        return column in self._first.table


class EnvInfoDataset(Beside):
    """Where networks were trained, from files blox-env-SEED."""

    kind, key = "env", "seed"

    @property
    def seeds(self) -> list[int]:
        """Seeds with a file."""
        return list(self._tables)

    def info(self, arch: Architecture, seed: int) -> dict[str, Any] | None:
        """The columns of one network but for its hash; None where the seed's file lacks it."""
        part = self._tables.get(seed)
        row = part.row(arch) if part is not None else None
        return None if part is None or row is None else without_hash(part, row)


class BenchmarkingDataset(Beside):
    """Seconds that networks take for one image, from files blox-bench-DEVICE."""

    kind, key = "benchmarking", "device"

    def __init__(self, dataset_files: Files, validate_data: bool = True) -> None:
        super().__init__(dataset_files)

    @property
    def devices(self) -> list[str]:
        """Devices with a file."""
        return list(self._tables)

    def predicted(self, device: str) -> dict[str, Any] | None:
        """Where a device's times are sums of parts and no measurements: their error on held-out networks; else None."""
        header = self._headers[device]
        return dict(header.get("held_out") or {"error": "not said"}) if header.get("predicted") else None

    def latency(
        self, arch: Architectures, devices: str | Sequence[str] | None = None, return_dict: bool = False
    ) -> Any:
        """Seconds of one network: a list of rows `[seconds]` by device, or a dict of dicts; None where a device lacks it.

        Args:
            arch: of an array of many, an array of seconds (NaN where unknown) for one device, a list of them for several.
            devices: by default all that are loaded.
            return_dict: `{"cpu": {"latency": 0.01}}`.

        Raises:
            UsageError: a device that is not loaded.
        """
        names = self.named(devices)
        seconds = {name: looked_up(self._tables[name], "latency", arch) for name in names}
        if isinstance(arch, np.ndarray) and arch.ndim:
            return (
                seconds if return_dict else seconds[names[0]] if len(names) == 1 else list(seconds.values())
            )
        if any(value is None for value in seconds.values()):
            return None
        if not return_dict:
            return [[value] for value in seconds.values()]
        return {name: {"latency": value, **self._story(name)} for name, value in seconds.items()}

    def by_device(self, arch: Any, devices: str | Sequence[str] | None = None) -> dict[str, Any]:
        """What `latency` has of one network by device: None for a named one that lacks it, by default those that do not.

        Raises:
            UsageError: a device that is not loaded.
        """
        latencies = {
            name: (self.latency(arch, name, True) or {name: None})[name] for name in self.named(devices)
        }
        return {name: value for name, value in latencies.items() if devices is not None or value is not None}

    def _story(self, device: str) -> dict[str, Any]:
        error = self.predicted(device)
        return {} if error is None else {"predicted": True, "held_out": error}

    def named(self, devices: str | Sequence[str] | None) -> list[str]:
        """The devices that are meant; UsageError for one that is not loaded."""
        names = self.devices if devices is None else [devices] if isinstance(devices, str) else list(devices)
        if unknown := [name for name in names if name not in self._tables]:
            raise UsageError(f"device {unknown}: loaded are {self.devices or 'none'}")
        return names


def several(files: Files) -> list[Path]:
    """One path or several, as a list."""
    given: Any = files
    single = isinstance(given, str | os.PathLike) or not isinstance(given, Iterable)
    single = single or getattr(given, "ndim", 1) == 0
    paths = [path_of(path, "dataset file") for path in ([given] if single else given)]
    if not paths:
        raise UsageError("no dataset files: name at least one")
    return paths


def read_typed(path: str | os.PathLike[str], kind: str) -> tuple[Header, Table]:
    """Header and table of a file of this dataset_type.

    Raises:
        DataError: it cannot be read, is of another type, or has no hashes.
    """
    header, table = read_dataset_file(path)
    if header["dataset_type"] != kind or "model_hash" not in table:
        raise DataError(
            f"{os.fspath(path)}: a {header['dataset_type']} file of {list(table)}, expected {kind}"
        )
    return header, table


def looked_up(part: Lookup, column: str, arch: Architectures) -> Answer:
    """A number of one architecture (None where unknown), or an array of many (NaN where unknown)."""
    if isinstance(arch, np.ndarray) and arch.ndim:
        return part.values(column)[part.rows(arch)]
    one: Any = arch  # an array without dimensions is one too
    row = part.row(one)
    number: float | None = (
        None if row is None else part.table.stored[column].take(np.array([row])).values.item(0)
    )
    return number


def row_of(part: Lookup, row: int) -> dict[str, Any]:
    """One row as plain values: numbers, text, lists."""
    one = part.table.take(np.array([row]))
    return {
        name: values[0].tolist() if isinstance(values[0], np.generic | np.ndarray) else values[0]
        for name, values in one.items()
    }


def without_hash(part: Lookup, row: int) -> dict[str, Any]:
    """One row without its hash."""
    return {name: value for name, value in row_of(part, row).items() if name != "model_hash"}


def plain_values(part: Lookup, model_hash: str, space: MacroSpace) -> list[Any]:
    """The values of a hash's row without the hash, vectors by stage and node.

    Raises:
        KeyError: the table lacks it.
    """
    row = part.row(model_hash)
    if row is None:
        raise KeyError(model_hash)
    values = without_hash(part, row)
    if "arch_vec" in values:
        values["arch_vec"] = nested_vectors(np.array([values["arch_vec"]]), space.shape)[0]
    return list(values.values())


class Companions(TypedDict, total=False):
    """What a benchmark has beside its trainings."""

    static: StaticInfoDataset | None
    env: EnvInfoDataset | None
    bench: BenchmarkingDataset | None
    title: str
    include_static_info: bool
    include_env_info: bool
