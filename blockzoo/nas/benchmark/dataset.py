"""A benchmark in memory: what training each network of the space came to, asked one by one or many at a time.

Accuracies are percent and times seconds, as published. An architecture is an index, a hash or a vector; an array of
indices, vectors or hashes gives an array, with NaN where a network is missing. One unknown architecture gives None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.beside import (
    BenchmarkingDataset,
    Companions,
    Described,
    EnvInfoDataset,
    Files,
    StaticInfoDataset,
    plain_values,
    row_of,
)
from blockzoo.nas.benchmark.best import Ranking
from blockzoo.nas.benchmark.curves import Training, TrainingQueries
from blockzoo.nas.benchmark.queries import Answer, Architectures, of_one_or_many
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.settings import OF_THE_FILE, skeleton_of
from blockzoo.nas.space.costs import Skeleton, static_info
from blockzoo.nas.space.graphs import hash_of_graph
from blockzoo.nas.space.macro import Architecture, ArchVector, MacroSpace

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

NO_LATENCIES = "no latencies are here: they lie in files blox-bench-DEVICE"


class Dataset(TrainingQueries, Ranking, Described):
    """A loaded benchmark. `from_folder` and `load` make it; so does a list of files.

    Args:
        dataset_files: blox-base-SEED of each seed, then blox-ext-SEED of them.
        devices_files: blox-bench-DEVICE of each device.
        static_info: blox-info.
        env_info: blox-env-SEED of each seed.
        validate_data: check that parts agree with each other and with the space.
    """

    def __init__(
        self,
        dataset_files: Files,
        devices_files: Files | None = None,
        static_info: str | None = None,
        env_info: Files | None = None,
        validate_data: bool = True,
    ) -> None:
        from blockzoo.nas.benchmark.loading import trainings_of_files, validated

        space, trainings = trainings_of_files(dataset_files)
        self._hold(
            space,
            trainings,
            static=StaticInfoDataset(static_info) if static_info else None,
            env=EnvInfoDataset(env_info) if env_info else None,
            bench=BenchmarkingDataset(devices_files) if devices_files else None,
            include_static_info=bool(static_info),
            include_env_info=bool(env_info),
        )
        validated(self, "these files", values=validate_data)

    @classmethod
    def of(cls, space: MacroSpace, trainings: dict[int, Training], **beside: Unpack[Companions]) -> Self:
        """A benchmark of tables in memory.

        Args:
            space: the networks it is about.
            trainings: curves by seed.
            beside: see `Companions`.
        """
        dataset = cls.__new__(cls)
        dataset._hold(space, trainings, **beside)
        return dataset

    def _hold(self, space: MacroSpace, trainings: dict[int, Training], **beside: Unpack[Companions]) -> None:
        self.space, self.title = space, beside.get("title", "")
        self._trainings = trainings
        self._static, self._env, self._bench = beside.get("static"), beside.get("env"), beside.get("bench")
        self._include_static_info = beside.get("include_static_info", False)
        self._include_env_info = beside.get("include_env_info", False)

    @property
    def header(self) -> Header:
        """What the training files say together, and all their columns."""
        common = {name: value for name, value in self._first.header.items() if name not in OF_THE_FILE}
        return {**common, "dataset_type": "training", "columns": self._first.columns}

    @property
    def static_info(self) -> StaticInfoDataset | None:
        """Parameters and vectors, where the benchmark was loaded with them."""
        return self._static if self._include_static_info else None

    @property
    def env_info(self) -> EnvInfoDataset | None:
        """Where networks were trained, where the benchmark was loaded with it."""
        return self._env if self._include_env_info else None

    @property
    def bench_info(self) -> BenchmarkingDataset | None:
        """Latencies, where there are any."""
        return self._bench

    @property
    def dataset(self) -> str | None:
        """The images that networks were trained on."""
        return self._first.header.get("dataset")

    @property
    def setting(self) -> dict[str, Any]:
        """How its networks were trained, where this project did it: protocol, width, image_size and so on."""
        return dict(self._first.header.get("setting") or {})

    @property
    def skeleton(self) -> Skeleton:
        """What surrounds the cells of the networks that were trained."""
        return skeleton_of(self._first.header)

    @property
    def width(self) -> int:
        """Channels of the first stage of the networks that were trained."""
        return self.skeleton.width

    @property
    def has_extension(self) -> bool:
        """Are training accuracies, losses and top-5 there, for every seed?"""
        return all(training.ext is not None for training in self._trainings.values())

    is_extended = has_extension

    @property
    def devices(self) -> list[str]:
        """Devices with latencies."""
        return [] if self._bench is None else self._bench.devices

    def __repr__(self) -> str:
        devices = [
            f"{d} (predicted)" if self._bench and self._bench.predicted(d) else d for d in self.devices
        ]
        return (
            f"Dataset({self.title or 'unnamed'}: {len(self):,} networks, {self.dataset}, {self.epochs} epochs, "
            f"seeds {self.seeds}, devices {devices})"
        )

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[list[Any]]:
        """`d[hash]` of each network, in the order of the first seed's file, then those that other seeds add."""
        return (self[text] for text in self._hashes)

    def __getitem__(self, model_hash: str) -> list[Any]:
        """[hash, rows by seed, static rows, rows by device, environment rows]: values without the hash; None for no part.

        Raises:
            KeyError: no network of this hash. A seed or part that lacks it has None in its place.
        """
        if not isinstance(model_hash, str) or model_hash not in self._hashes:
            raise KeyError(model_hash)

        def rows(tables: Iterable[Any]) -> list[Any]:
            return [
                None if one.row(model_hash) is None else plain_values(one, model_hash, self.space)
                for one in tables
            ]

        seeds = [self._training_row(training, model_hash) for training in self._trainings.values()]
        parts = (self.static_info, self.bench_info, self.env_info)
        return [model_hash, seeds, *(None if not part else rows(part._tables.values()) for part in parts)]

    def _training_row(self, training: Training, arch: Any) -> list[Any] | None:
        columns = self._training_columns(training, arch)
        return None if columns is None else list(columns.values())[1:]

    def _training_columns(self, training: Training, arch: Any) -> dict[str, Any] | None:
        """All columns of one network, the hash first; None where the seed lacks it."""
        if (row := training.base.row(arch)) is None:
            return None
        columns = row_of(training.base, row)
        if training.ext is not None and (row := training.ext.row(arch)) is not None:
            columns.update(row_of(training.ext, row))
        return {"model_hash": columns.pop("model_hash"), **columns}

    @cached_property
    def _hashes(self) -> dict[str, None]:
        tables = [training.base.table["model_hash"].tolist() for training in self._trainings.values()]
        return dict.fromkeys(text for table in tables for text in table)

    def __contains__(self, arch: object) -> bool:
        try:
            return any(t.base.row(cast(Any, arch)) is not None for t in self._trainings.values())
        except UsageError:
            return False

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Indices of the networks of the first seed, in ascending order."""
        return self.indices_of(None)

    @of_one_or_many
    def params(self, arch: Architectures) -> Answer:
        """Parameters, as the benchmark states them; exact by formula where it does not."""
        if self._static is None or not self._static.has("params"):
            return self._of_formula(0, arch)
        return self._static.params(arch)

    @of_one_or_many
    def flops(self, arch: Architectures) -> Answer:
        """The published number, near MACs (a counter of that time: 1.010 to 1.076 x `macs`). `macs` is exact."""
        if self._static is None or not self._static.has("flops"):
            raise UsageError(
                "flops are published numbers of the part blox-info, which is not here; macs() is exact"
            )
        return self._static.flops(arch)

    @of_one_or_many
    def macs(self, arch: Architectures) -> Answer:
        """Multiply-adds of convolutions and linear layers for one image, exact."""
        return self._of_formula(1, arch)

    def _of_formula(self, which: int, arch: Architectures) -> Answer:
        values = static_info(self.space, self.skeleton)[which]
        if isinstance(arch, np.ndarray) and arch.ndim:
            return np.append(values.astype(np.float64), np.nan)[self.space.index(arch)]
        index = self.space.index(arch)
        return None if index is None else values.item(index)

    def arch_vec(self, arch: Architecture) -> ArchVector | None:
        """The vector of a network by stage and node, as the benchmark states it or else the canonical one; None if unknown."""
        if self._static is not None and (stated := self._static.arch_vec(arch)) is not None:
            return stated
        return self.space.arch_vec(arch) if arch in self else None

    def latency(
        self, arch: Architectures, devices: str | Sequence[str] | None = None, return_dict: bool = False
    ) -> Any:
        """Seconds for one image, see `BenchmarkingDataset.latency`: `[[0.01]]`, or with `return_dict` by device."""
        if self._bench is None:
            raise UsageError(NO_LATENCIES if devices is None else f"device {devices!r}: {NO_LATENCIES}")
        return self._bench.latency(arch, devices, return_dict)

    def full_info(
        self,
        arch: Architecture,
        seed: int | None = None,
        devices: str | Sequence[str] | Literal[False] | None = None,
        include_static_info: bool | None = None,
        include_env_info: bool | None = None,
        return_dict: bool = True,
    ) -> dict[str, Any] | list[Any] | None:
        """Everything about one network: its columns, hash and seed, a dict per device, `info` and `env`; None if unknown.

        Args:
            arch: an index, hash or vector.
            seed: by default the first that is loaded.
            devices: by default all that have the network, None for a named one that lacks it; False for none.
            include_static_info: with `info`; by default as the benchmark was loaded.
            include_env_info: with `env`; by default as the benchmark was loaded.
            return_dict: False for a list: hash, columns, seed, a list per device, then the lists of static and env.

        Raises:
            UsageError: a seed, device or part that is not loaded.
        """
        columns = self._training_columns(self._training(seed), arch)
        if columns is None:
            return None
        seed = self.seeds[0] if seed is None else seed
        model_hash = columns.pop("model_hash")
        latencies = self._latencies(arch, devices)
        parts: dict[str, dict[str, Any] | None] = {}
        if self._include_static_info if include_static_info is None else include_static_info:
            parts["info"] = self._static_columns(arch)
        if self._include_env_info if include_env_info is None else include_env_info:
            if self._env is None:
                raise UsageError("no environments are here: from_folder(..., include_env_info=True)")
            parts["env"] = self._env.info(arch, seed)
        if return_dict:
            return {**columns, "model_hash": model_hash, "seed": seed, **latencies, **parts}
        lists = [None if part is None else list(part.values()) for part in parts.values()]
        return [
            model_hash,
            *columns.values(),
            seed,
            *(d and [d["latency"]] for d in latencies.values()),
            *lists,
        ]

    def _latencies(
        self, arch: Architecture, devices: str | Sequence[str] | Literal[False] | None
    ) -> dict[str, Any]:
        """By device, as `full_info` has them: of those that are asked for, or of all that are here."""
        if devices is False or (devices is None and self._bench is None):
            return {}
        if self._bench is None:
            raise UsageError(f"device {devices!r}: {NO_LATENCIES}")
        return self._bench.by_device(arch, devices)

    def _static_columns(self, arch: Any) -> dict[str, Any]:
        stated = self._static is not None and self._static.has("flops")
        costs = {"params": self.params(arch)} | ({"flops": self.flops(arch)} if stated else {})
        return costs | {"arch_vec": self.arch_vec(arch), "macs": self.macs(arch)}

    def full_info_by_graph(self, graph: object, **options: Any) -> dict[str, Any] | list[Any] | None:
        """`full_info` of a network given as its graph, see `blockzoo.nas.space.graphs`."""
        text = hash_of_graph(graph)
        return None if text is None else self.full_info(text, **options)

    def to_pandas(self, seed: int | None = None) -> Any:
        """A data frame of one seed: index of the space, hash, final numbers, parameters, MACs and latencies."""
        import pandas as pd

        return pd.DataFrame(self.summary(seed))

    def to_arrow(self, seed: int | None = None) -> Any:
        """The same as a `pyarrow.Table`."""
        import pyarrow as pa

        return pa.table(self.summary(seed))

    def summary(self, seed: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """Columns of final numbers of one seed, by index of the space."""
        rows = self._training(seed).base.row_of_index[:-1]
        index = np.flatnonzero(rows >= 0)
        columns: dict[str, Any] = {
            "index": index,
            "model_hash": self.space.hashes()[index],
            "val_acc": self.val_acc(index, seed=seed),
            "test_acc": self.test_acc(index, seed=seed),
            "train_time_s": self.train_time(index, seed=seed),
            "params": self.params(index),
            "macs": self.macs(index),
        }
        columns.update({f"latency_{device}": self.latency(index, device) for device in self.devices})
        return columns
