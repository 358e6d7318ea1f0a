"""Latency by addition: every cell at every stage is timed once, and a network is the sum of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files.folder import FilePart
from blockzoo.nas.files.io import write_dataset_file
from blockzoo.nas.files.settings import SKELETON
from blockzoo.nas.options import Timing
from blockzoo.nas.ranking.latency_agreement import LatencyAgreement
from blockzoo.nas.space.costs import Skeleton
from blockzoo.nas.space.macro import MacroSpace
from blockzoo.nas.space.published import published_space

if TYPE_CHECKING:
    from torch import nn

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LatencyTable:
    """Medians of the parts of a space on one device, in milliseconds.

    Args:
        cells: (stages, cells).
        fixed: stem, reductions and head together.
        skeleton: of the networks whose parts were timed; for others the table says nothing.
        environment: where they were taken.
    """

    space: MacroSpace
    cells: Values
    fixed: float
    skeleton: Skeleton = field(default_factory=Skeleton)
    environment: dict[str, Any] = field(default_factory=dict)

    def predict(
        self, indices: npt.NDArray[np.int64] | None = None, skeleton: Skeleton | None = None
    ) -> Values:
        """(N,): predicted milliseconds of networks; of the whole space by default.

        Args:
            indices: (N,) of the networks; None for all of the space, in order.
            skeleton: of the networks that are asked about, where it should be made sure that it is the table's.

        Raises:
            UsageError: the table was made of networks of other width, image size or classes.
        """
        if skeleton is not None and skeleton != self.skeleton:
            raise UsageError(
                f"times of {self.skeleton} do not fit {skeleton}: time its parts, blockzoo nas latency --width "
                f"{skeleton.width} --image-size {skeleton.image_size} --num-classes {skeleton.num_classes}"
            )
        digits = self.space.digits(np.arange(len(self.space)) if indices is None else indices)
        return np.asarray(self.fixed + sum(self.cells[s][digits[:, s]] for s in range(self.space.stages)))

    def write(self, folder: Path, device: str, error: LatencyAgreement, suffix: str = "native") -> Path:
        """A benchmarking file of the whole space: seconds, rounded to microseconds, and of which networks, where, how well.

        Args:
            folder: where the file is put.
            device: name of the device, for the file's name and its header.
            error: against whole networks; every number of the file carries it.
            suffix: says the format: native, blox, csv or pickle.
        """
        setting = {key: getattr(self.skeleton, name) for name, key in SKELETON.items()}
        where = {name: self.environment.get(name) for name in ("gpu", "cpu", "threads", "torch")}
        header = {
            **header_of(self.space, "benchmarking"),
            "device": device,
            "predicted": True,
            "held_out": error.summary(),
            "setting": setting,
            "environment": {name: value for name, value in where.items() if value is not None},
        }
        table = {"model_hash": self.space.hashes(), "latency": np.round(self.predict() / 1e3, 6)}
        return write_dataset_file(folder / f"{FilePart('bench', device).stem}.{suffix}", header, table)


PUBLISHED = Skeleton()


def measure_latency(
    skeleton: Skeleton = PUBLISHED,
    *,
    check: int = Timing.check,
    device: str = "auto",
    seconds: float = Timing.seconds,
    seed: int = 0,
    space: MacroSpace | None = None,
) -> tuple[LatencyTable, LatencyAgreement]:
    """Time all parts and `check` whole networks in the same shuffled rounds, deployed alike, one image at a time.

    Args:
        skeleton: of the networks; three channels, one cell a stage.
        check: random networks timed whole, to state the error.
        device: cpu, cuda or auto.
        seconds: for all of it, from the call (of a command: its start) on; one round is always made.
        seed: of the draw of these networks.
        space: of the networks; None for the published one.
    """
    from blockzoo.measure.deadline import Deadline

    deadline = Deadline.of_command(seconds)
    import torch

    from blockzoo.measure.contenders import time_modules
    from blockzoo.nas.training.networks import build

    if check < 2:
        raise UsageError(
            f"check {check}: give 2 or more whole networks; without any the error would be unknown"
        )
    space = space or published_space()
    count = len(space.cells)
    shape = (1, 3, skeleton.image_size, skeleton.image_size)
    builder = partial(build, num_classes=skeleton.num_classes, space=space, width=skeleton.width, seed=seed)
    parts: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}
    for cell in range(count):
        index = sum(cell * count**stage for stage in range(space.stages))
        network = builder(index)
        _add_parts(parts, network, cell, torch.zeros(shape))
    drawn = space.sample(check, seed)
    wholes = {f"network {i}": (builder(int(i)), shape) for i in drawn}
    samples, environment = time_modules(
        {**parts, **wholes}, device=device, seconds=deadline.left(), seed=seed
    )
    medians = {name: float(np.median(values)) for name, values in samples.items()}
    cells = np.array([[medians[f"cell {s} {c}"] for c in range(count)] for s in range(space.stages)])
    fixed = sum(value for name, value in medians.items() if name.startswith("fixed"))
    table = LatencyTable(space, cells, fixed, skeleton, environment)
    where = f"{environment.get('gpu') or environment.get('cpu')}, fp32, one image, threads: {environment['threads']}"
    measured = np.array([medians[name] for name in wholes])
    return table, LatencyAgreement(measured, table.predict(drawn), drawn, where)


def _add_parts(parts: dict[str, tuple[nn.Module, tuple[int, ...]]], network: Any, cell: int, x: Any) -> None:
    """The blocks of a network, with the shape that each reads; those that are no cell only once."""
    import torch

    stage = 0
    for block in network.eval().blocks:
        is_cell = type(block).__name__ == "Cell"
        name = (
            f"cell {stage} {cell}"
            if is_cell
            else f"fixed {len(x.shape)} {tuple(x.shape[1:])} {type(block).__name__}"
        )
        stage += is_cell
        parts.setdefault(name, (block, tuple(x.shape)))
        with torch.no_grad():
            x = block(x)
