"""A benchmark in memory: what training each network of the space came to, asked one by one or many at a time.

Accuracies are percent and times seconds, as published. An architecture is an index, a hash or a vector; an array of
indices, vectors or hashes gives an array, with NaN where a network is missing. One unknown architecture gives None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import RequestError
from blockzoo.nas.costs import Skeleton, static_info
from blockzoo.nas.curves import Training, TrainingQueries
from blockzoo.nas.formats.table import Table, nested_vectors
from blockzoo.nas.graphs import hash_of_graph
from blockzoo.nas.lookup import Lookup
from blockzoo.nas.space import Architecture, ArchVector, MacroSpace
from blockzoo.report.pareto import pareto_front


class Dataset(TrainingQueries):
    """A loaded benchmark. Made by `from_folder` or `load`.

    Args:
        space: the networks it is about.
        trainings: curves by seed.
        static, env, bench: tables beside them: per network, per seed, per device.
        title: where it comes from, in a few words.
    """

    def __init__(
        self,
        space: MacroSpace,
        trainings: dict[int, Training],
        *,
        static: Table | None = None,
        env: dict[int, Table] | None = None,
        bench: dict[str, Table] | None = None,
        title: str = "",
        include_static_info: bool = False,
        include_env_info: bool = False,
    ) -> None:
        self.space, self.title = space, title
        self._trainings = trainings
        self._static = Lookup(static, space) if static is not None else None
        self._env = {seed: Lookup(table, space) for seed, table in (env or {}).items()}
        self._bench = {device: Lookup(table, space) for device, table in (bench or {}).items()}
        self._include_static_info, self._include_env_info = include_static_info, include_env_info

    # --- what it is -------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Version of the format."""
        return int(self._first.header["version"])

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
        """Columns of the training tables."""
        return self._first.columns

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
        given = {"width": "width", "num_classes": "classes", "image_size": "image_size"}
        return Skeleton(
            **{name: int(self.setting[key]) for name, key in given.items() if self.setting.get(key)}
        )

    @property
    def width(self) -> int:
        """Channels of the first stage of the networks that were trained."""
        return int(self.setting.get("width", 32))

    @property
    def is_extended(self) -> bool:
        """Are training accuracies, losses and top-5 there?"""
        return all(training.ext is not None for training in self._trainings.values())

    @property
    def devices(self) -> list[str]:
        """Devices with latencies."""
        return list(self._bench)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.title or 'unnamed'}: {len(self):,} networks, {self.dataset}, {self.epochs} epochs, "
            f"seeds {self.seeds}, devices {self.devices})"
        )

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[str]:
        """Hashes of the networks, in the order of the first seed's file, then those that other seeds add."""
        return iter(self._hashes)

    @cached_property
    def _hashes(self) -> list[str]:
        tables = [training.base.table["model_hash"].tolist() for training in self._trainings.values()]
        return list(dict.fromkeys(text for table in tables for text in table))

    def __contains__(self, arch: object) -> bool:
        try:
            return any(t.base.row(arch) is not None for t in self._trainings.values())  # type: ignore[arg-type]
        except RequestError:
            return False

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Indices of the networks of the first seed, in ascending order."""
        return np.flatnonzero(self._first.base.row_of_index[:-1] >= 0)

    # --- beside the trainings ---------------------------------------------------------------------

    def params(self, arch: Any) -> Any:
        """Parameters, as the benchmark states them; exact by formula where it does not."""
        return self._of_static("params", arch)

    def flops(self, arch: Any) -> Any:
        """The published number, near MACs (a counter of that time: 1.010 to 1.076 x `macs`). `macs` is exact."""
        if self._static is None or "flops" not in self._static.table:
            raise RequestError(
                "flops are published numbers of the part blox-info, which is not here; macs() is exact"
            )
        return self._of_static("flops", arch)

    def macs(self, arch: Any) -> Any:
        """Multiply-adds of convolutions and linear layers for one image, exact."""
        return self._of_formula(1, arch)

    def _of_static(self, column: str, arch: Any) -> Any:
        if self._static is None or column not in self._static.table:
            return self._of_formula(0, arch)
        return _looked_up(self._static, column, arch)

    def _of_formula(self, which: int, arch: Any) -> Any:
        values = static_info(self.space, self.skeleton)[which]
        if isinstance(arch, np.ndarray) and arch.ndim:
            return np.append(values.astype(np.float64), np.nan)[self.space.index(arch)]
        index = self.space.index(arch)
        return None if index is None else values.item(index)

    def arch_vec(self, arch: Architecture) -> ArchVector | None:
        """The vector of a network by stage and node, as the benchmark states it or else the canonical one."""
        if self._static is not None and (row := self._static.row(arch)) is not None:
            vectors = self._static.table.stored["arch_vec"].data[row : row + 1]
            return nested_vectors(vectors, self.space.shape)[0]  # type: ignore[no-any-return]
        return self.space.arch_vec(arch) if self.space.is_valid(arch) else None

    def latency(
        self, arch: Any, devices: str | Sequence[str] | None = None, return_dict: bool = False
    ) -> Any:
        """Seconds for one image: a number for one device, a list for several, or a dict by device.

        Args:
            devices: by default all that are loaded.
        """
        names = self._devices(devices)
        found = {name: self._latency(name, arch) for name in names}
        if return_dict:
            return found
        return found[names[0]] if len(names) == 1 else list(found.values())

    def _latency(self, device: str, arch: Any) -> Any:
        return _looked_up(self._bench[device], "latency", arch)

    def _devices(self, devices: str | Sequence[str] | None) -> list[str]:
        names = self.devices if devices is None else [devices] if isinstance(devices, str) else list(devices)
        if unknown := [name for name in names if name not in self._bench]:
            raise RequestError(f"device {unknown}: loaded are {self.devices or 'none'}")
        if not names:
            raise RequestError("no latencies are here: they lie in files blox-bench-DEVICE")
        return names

    # --- all of it --------------------------------------------------------------------------------

    def full_info(
        self,
        arch: Architecture,
        seed: int | None = None,
        devices: str | Sequence[str] | None = None,
        include_static_info: bool | None = None,
        include_env_info: bool | None = None,
        return_dict: bool = True,
    ) -> dict[str, Any] | list[Any] | None:
        """Everything about one network: its columns, a latency per device, `info` and `env`; None if unknown.

        Args:
            include_static_info, include_env_info: by default as the benchmark was loaded.
            return_dict: False for the values alone, in the order of the dict.
        """
        training = self._training(seed)
        if (row := training.base.row(arch)) is None:
            return None
        found: dict[str, Any] = _row_of(training.base, row)
        if training.ext is not None and (row := training.ext.row(arch)) is not None:
            found.update(_row_of(training.ext, row))
        names = self._devices(devices) if devices is not None else self.devices
        found.update({name: self._latency(name, arch) for name in names})
        if self._include_static_info if include_static_info is None else include_static_info:
            found["info"] = {
                "params": self.params(arch),
                "macs": self.macs(arch),
                "arch_vec": self.arch_vec(arch),
            }
            if self._static is not None and "flops" in self._static.table:
                found["info"]["flops"] = self.flops(arch)
        if self._include_env_info if include_env_info is None else include_env_info:
            env = self._env.get(self.seeds[0] if seed is None else seed)
            env_row = env.row(arch) if env else None
            found["env"] = None if env is None or env_row is None else _row_of(env, env_row)
        return found if return_dict else list(found.values())

    def full_info_by_graph(self, graph: Any, **options: Any) -> dict[str, Any] | list[Any] | None:
        """`full_info` of a network given as its graph, see `blockzoo.nas.graphs`."""
        text = hash_of_graph(graph)
        return None if text is None else self.full_info(text, **options)

    # --- views ------------------------------------------------------------------------------------

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
        found: dict[str, Any] = {
            "index": index,
            "model_hash": self.space.hashes()[index],
            "val_acc": self.val_acc(index, seed=seed),
            "test_acc": self.test_acc(index, seed=seed),
            "train_time_s": self.train_time(index, seed=seed),
            "params": self.params(index),
            "macs": self.macs(index),
        }
        found.update({f"latency_{device}": self._latency(device, index) for device in self.devices})
        return found

    def top(self, n: int = 10, by: str = "val_acc", seed: int | str | None = None) -> npt.NDArray[np.int64]:
        """(n,): indices of the best networks, the best first; equal ones by index.

        Args:
            by: a query of this class, such as "val_acc" or "test_acc".
        """
        values = getattr(self, by)(self.indices, seed=seed)
        known = ~np.isnan(values)
        order = np.argsort(-values[known], kind="stable")
        return self.indices[known][order[:n]]

    def pareto(
        self, *costs: str, by: str = "val_acc", seed: int | str | None = None
    ) -> npt.NDArray[np.int64]:
        """Indices of networks that no other equals or beats in accuracy and all costs at once, cheapest first.

        Args:
            costs: "macs" (by default), "params", "flops", or the name of a device.
        """
        names = costs or ("macs",)
        columns = [
            self._latency(name, self.indices) if name in self._bench else getattr(self, name)(self.indices)
            for name in names
        ]
        points = np.stack([*columns, -getattr(self, by)(self.indices, seed=seed)], axis=1)
        known = np.flatnonzero(~np.isnan(points).any(1))
        front = known[pareto_front(points[known])]
        return self.indices[front[np.argsort(points[front, 0], kind="stable")]]


def _row_of(part: Lookup, row: int) -> dict[str, Any]:
    """One row as plain values: numbers, text, lists."""
    one = part.table.take(np.array([row]))
    return {
        name: values[0].tolist() if isinstance(values[0], np.generic | np.ndarray) else values[0]
        for name, values in one.items()
    }


def _looked_up(part: Lookup, column: str, arch: Any) -> Any:
    if isinstance(arch, np.ndarray) and arch.ndim:
        return part.values(column)[part.rows(arch)]
    row = part.row(arch)
    return None if row is None else part.table.stored[column].take(np.array([row])).values.item(0)
