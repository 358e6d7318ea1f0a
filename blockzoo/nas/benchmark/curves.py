"""The training curves of one seed, and what a number of epochs comes to on them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.lookup import Lookup
from blockzoo.nas.benchmark.queries import Answer, Architectures, of_one_or_many
from blockzoo.nas.files.columns import ACCURACY, MILLIONTHS, percent_of
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.macro import Architecture, MacroSpace

Values = npt.NDArray[np.float64]
MEAN = "mean"
"""As `seed`: the mean over all loaded seeds that have the network."""


class Training:
    """The curves of one seed: the base table, and the extended one where it was loaded."""

    def __init__(
        self, space: MacroSpace, base: tuple[Header, Table], ext: tuple[Header, Table] | None
    ) -> None:
        self.header = base[0]
        self.ext_header = ext[0] if ext else None
        self.base = Lookup(base[1], space)
        self.ext = Lookup(ext[1], space) if ext else None
        self._cache: dict[tuple[Any, ...], Values] = {}

    @property
    def epochs(self) -> int | None:
        """Epochs of this seed's trainings: as its header says, or as long as its curves are."""
        if "epochs" in self.header or "val_top1" not in self.base.table:
            return self.header.get("epochs")
        column = self.base.table.stored["val_top1"]
        return max(map(len, column.data), default=0) if column.ragged else int(column.data.shape[-1])

    def check_epoch(self, epoch: int) -> None:
        """UsageError for what is no epoch of this seed's trainings."""
        whole = isinstance(epoch, int | np.integer) and not isinstance(epoch, bool)
        if not whole or not 1 <= epoch <= (self.epochs or epoch):
            seed = self.header.get("seed")
            of = "this benchmark" if seed is None else f"seed {seed} of this benchmark"
            raise UsageError(f"epoch {epoch!r}: {of} has epochs 1 to {self.epochs}")

    @property
    def columns(self) -> list[str]:
        """Names of all columns, the hash first."""
        return [*self.base.table, *(n for n in (self.ext.table if self.ext else ()) if n != "model_hash")]

    def holding(self, column: str) -> Lookup | None:
        """The table that has a column."""
        return next((part for part in (self.base, self.ext) if part and column in part.table), None)

    def per_row(self, column: str, epoch: int | None, best: bool) -> Values:
        """(rows + 1,): the value of each row, NaN behind the last for a missing one."""
        key = (column, epoch, best)
        if key not in self._cache:
            part = self.holding(column)
            assert part is not None
            self._cache[key] = np.append(_reduced(part.table, column, epoch, best), np.nan)
        return self._cache[key]


def _reduced(table: Table, name: str, epoch: int | None, best: bool) -> Values:
    column = table.stored[name]
    if column.ragged:
        curves = [part[:epoch] if best else part[(epoch or len(part)) - 1 :][:1] for part in column.values]
        pick = np.min if "loss" in name else np.max
        return np.array([pick(curve) if len(curve) else np.nan for curve in curves])
    data = column.data
    if data.ndim == 2:
        if best:
            data = data[:, :epoch].min(1) if "loss" in name else data[:, :epoch].max(1)
        else:
            data = data[:, (epoch or data.shape[1]) - 1]
    if column.kind == ACCURACY:
        return percent_of(data, column.total)
    return np.round(data * 1e-6, 6) if column.kind == MILLIONTHS else data.astype(np.float64)


def mean_of_known(by_seed: list[Any]) -> Answer:
    """The mean over seeds that know a network; None (NaN in arrays) where none does."""
    if isinstance(by_seed[0], np.ndarray):
        stacked = np.stack(by_seed)
        is_known = ~np.isnan(stacked)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(is_known, stacked, 0).sum(0) / is_known.sum(0))
    numbers: list[float] = [value for value in by_seed if value is not None]
    return (
        float(np.sum(numbers)) / len(numbers) if numbers else None
    )  # from Python 3.12 on `sum` rounds otherwise


class TrainingQueries:
    """What training came to, for one architecture or an array of many; the part of `Dataset` that is about curves."""

    _trainings: dict[int, Training]

    @property
    def _first(self) -> Training:
        return next(iter(self._trainings.values()))

    @property
    def epochs(self) -> int | None:
        """Epochs of the full schedule (of the first seed, where unvalidated files differ)."""
        return self._first.epochs

    @property
    def seeds(self) -> list[int]:
        """Loaded seeds; without `seed` a query is about the first."""
        return list(self._trainings)

    @of_one_or_many
    def val_acc(
        self, arch: Architectures, epoch: int | None = None, best: bool = True, seed: int | str | None = None
    ) -> Answer:
        """Top-1 validation accuracy: the best of the first `epoch` epochs, or with `best=False` that of epoch `epoch`.

        Args:
            arch: an index, hash or vector; or an array of many.
            epoch: 1 for the first; None for the last.
            best: the best of the epochs up to `epoch`; False for that of `epoch` alone.
            seed: by default the first loaded; "mean" for the mean over seeds.
        """
        return self._curve("val_top1", arch, epoch, best, seed)

    @of_one_or_many
    def train_acc(
        self, arch: Architectures, epoch: int | None = None, best: bool = True, seed: int | str | None = None
    ) -> Answer:
        """Top-1 accuracy on training images, see `val_acc`."""
        return self._curve("train_top1", arch, epoch, best, seed)

    train_top1 = train_acc
    val_top1 = val_acc

    @of_one_or_many
    def val_top5(
        self, arch: Architectures, epoch: int | None = None, best: bool = True, seed: int | str | None = None
    ) -> Answer:
        """Top-5 validation accuracy, see `val_acc`."""
        return self._curve("val_top5", arch, epoch, best, seed)

    @of_one_or_many
    def train_top5(
        self, arch: Architectures, epoch: int | None = None, best: bool = True, seed: int | str | None = None
    ) -> Answer:
        """Top-5 accuracy on training images, see `val_acc`."""
        return self._curve("train_top5", arch, epoch, best, seed)

    @of_one_or_many
    def val_loss(
        self, arch: Architectures, epoch: int | None = None, best: bool = False, seed: int | str | None = None
    ) -> Answer:
        """Validation loss of epoch `epoch`, or with `best=True` the least of the first `epoch` epochs."""
        return self._curve("val_loss", arch, epoch, best, seed)

    @of_one_or_many
    def train_loss(
        self, arch: Architectures, epoch: int | None = None, best: bool = False, seed: int | str | None = None
    ) -> Answer:
        """Training loss, see `val_loss`."""
        return self._curve("train_loss", arch, epoch, best, seed)

    @of_one_or_many
    def test_acc(self, arch: Architectures, seed: int | str | None = None) -> Answer:
        """Top-1 test accuracy of the weights that were best on validation images."""
        return self._value("test_top1", arch, None, False, seed)

    test_top1 = test_acc

    @of_one_or_many
    def test_loss(self, arch: Architectures, seed: int | str | None = None) -> Answer:
        """Test loss of these weights."""
        return self._value("test_loss", arch, None, False, seed)

    @of_one_or_many
    def test_top5(self, arch: Architectures, seed: int | str | None = None) -> Answer:
        """Top-5 test accuracy of these weights."""
        return self._value("test_top5", arch, None, False, seed)

    @of_one_or_many
    def train_time(
        self, arch: Architectures, epoch: int | None = None, seed: int | str | None = None
    ) -> Answer:
        """Seconds that training took for the first `epoch` epochs (0: none), linear in epochs; all of them by default."""
        if seed == MEAN:
            return mean_of_known([self.train_time(arch, epoch, one) for one in self._trainings])
        training = self._training(seed)
        if epoch is not None and epoch != 0:
            training.check_epoch(epoch)
        total = self._value("train_time_s", arch, None, False, seed)
        return total if epoch is None or total is None else total * (epoch / (training.epochs or epoch or 1))

    def curve(self, column: str, arch: Architecture, seed: int | None = None) -> Values | None:
        """(epochs,): one whole curve, None for an unknown architecture."""
        training = self._training(seed)
        part = self._part(training, column)
        row = part.row(arch)
        return None if row is None else part.table.stored[column].take(np.array([row])).values[0]

    def _curve(self, column: str, arch: Any, epoch: int | None, best: bool, seed: int | str | None) -> Answer:
        if epoch is not None:
            for training in self._trainings.values() if seed == MEAN else [self._training(seed)]:
                training.check_epoch(epoch)
        return self._value(column, arch, epoch, best, seed)

    def _value(self, column: str, arch: Any, epoch: int | None, best: bool, seed: int | str | None) -> Answer:
        if seed == MEAN:
            by_seed = [self._value(column, arch, epoch, best, one) for one in self._trainings]
            return mean_of_known(by_seed)
        training = self._training(seed)
        part = self._part(training, column)
        values = training.per_row(column, epoch, best)
        if isinstance(arch, np.ndarray) and arch.ndim:
            return np.asarray(values[part.rows(arch)])
        row = part.row(arch)
        number: float | None = None if row is None else values.item(row)
        return number

    def _training(self, seed: int | str | None) -> Training:
        if seed is None:
            return self._first
        try:
            if isinstance(seed, bool):
                raise KeyError(seed)
            return self._trainings[cast(int, seed)]  # anything else is not there
        except (KeyError, TypeError):
            other = f"this is asked of one training: give one of {self.seeds}"
            if seed != MEAN:
                other = f"loaded are {self.seeds}, or 'mean'"
            raise UsageError(f"seed {seed!r}: {other}") from None

    def _part(self, training: Training, column: str) -> Lookup:
        part = training.holding(column)
        if part is None:
            raise UsageError(
                f"{column} is in the extended part, which was not loaded: from_folder(..., extended=True)"
            )
        return part
