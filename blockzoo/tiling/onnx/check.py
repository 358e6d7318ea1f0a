"""A written ONNX file against what it stands for, before it bears its name: what it computes, and the memory it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import allowed, deviation, nudged, probes
from blockzoo.tiling.onnx.files import OnnxSource
from blockzoo.tiling.onnx.session import Entry, Inputs, entries_of, every_output, executed

if TYPE_CHECKING:
    from onnx import ModelProto

Plain = Callable[[Inputs], list[np.ndarray]]
"""From inputs to all outputs of the network that a file stands for, in order."""
FLOATS, LARGE, INTEGERS = 1e-4, 1e-3, 1e-2
"""Differences that are allowed, of the largest output: of floats, of floats where inputs are large, of integers."""


LARGE_PROBE = 1
"""Which of `probes_for` is the large one."""


def plain_of(model: OnnxSource) -> Plain:
    """All outputs of an ONNX model, for a file that is made of it."""
    return lambda given: next(every_output(model, [given]))


def probes_for(model: ModelProto, seen: Inputs = ()) -> list[list[np.ndarray]]:
    """Images of both signs, large, and some of those that the network is for, as many at a time as the model reads; beside them
    what it is given else, as it was seen, or drawn.

    Args:
        model: whose inputs say how many images, of which shape, and what else is given.
        seen: what the network is for, as many images as there are.
    """
    first, *others = entries_of(model)
    images = [probe.numpy() for probe in probes(torch.empty(first.shape), special=False)]
    if len(seen) and len(seen[0]):
        images.append(np.resize(np.asarray(seen[0], np.float32), first.shape))
    beside = [
        *seen[1:],
        *(_drawn(entry) for entry in others[max(0, len(seen) - 1) :]),
    ]
    return [[image, *beside] for image in images]


def _drawn(entry: Entry) -> np.ndarray:
    """Of both signs; of integers, which may be places in something, zeros."""
    if not np.issubdtype(entry.dtype, np.floating):
        return entry.zeros
    return probes(torch.empty(entry.shape))[0].numpy().astype(entry.dtype)


@CHECKS.register("onnx-file")
def check_file(model: OnnxSource, plain: Plain, images: Sequence[Inputs], what: str) -> float:
    """An ONNX file as ONNX Runtime runs it, its optimisations included, against the network it was made from: in PyTorch, or the
    file that was fused; in block mode against the layers one by one, each cut by the same tiles. All outputs are compared.

    Catches: a wrong fold, cut, padding, halo or expansion of an operation, an output that is missing or another, and
    what torch's exporter or ONNX Runtime do differently.

    Tolerance: 1e-4 of the largest output; 1e-3 where inputs are a hundred times as large, which rounding is too; or 30 times what
    the network itself moves by when its input is off by rounding, up to 0.1. Large inputs on which that is more show nothing.

    Cost: two or three passes of the network in either; MobileNetV2 at 224 exported and cut, 0.31 s of one core, 4 % (AMD EPYC).
    """
    return _compared("onnx-file", model, plain, images, what, (FLOATS, LARGE, FLOATS), rounding=True)


@CHECKS.register("onnx-integers")
def check_integers(model: OnnxSource, plain: Plain, images: Sequence[Inputs], what: str) -> float:
    """A fused int8 file as ONNX Runtime runs it, against the integers layer by layer.

    Catches: a zero point that is not what stands around a tile, a wrong cut or halo, a scale that went astray.

    Tolerance: 1e-2 of the largest output, one or two of its 256 steps; equal in every bit unless floats lie between.

    Cost: three passes of both; MobileNetV2 at 96, 0.08 s of one core, 1 % (AMD EPYC).
    """
    return _compared("onnx-integers", model, plain, images, what, (INTEGERS,) * 3)


def _compared(
    name: str,
    model: OnnxSource,
    plain: Plain,
    images: Sequence[Inputs],
    what: str,
    tolerances: Sequence[float],
    *,
    rounding: bool = False,
) -> float:
    worst = 0.0
    pairs = zip(images, map(plain, images), every_output(model, images), tolerances, strict=False)
    for number, (inputs, wanted, got, tolerance) in enumerate(pairs):
        difference, limit = _apart(wanted, got), tolerance
        if rounding:
            at_most = allowed(tolerance, difference, partial(moved, plain, inputs, wanted))
            if at_most is None and number == LARGE_PROBE:
                continue
            limit = at_most or tolerance
        if not difference <= limit:
            raise CheckFailed(
                f"{what}: check {name!r} failed: the file differs from what it stands for by {difference:.1e} (relative; allowed "
                f"{limit:.0e}) on probe {number}, so it is not written"
            )
        worst = max(worst, difference)
    return worst


def _apart(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    return deviation([*map(torch.from_numpy, one)], [*map(torch.from_numpy, other)])


def moved(plain: Plain, given: Inputs, wanted: list[np.ndarray]) -> float:
    """What the network moves by when its image is off by rounding."""
    image, *others = given
    return _apart(wanted, plain([nudged(torch.from_numpy(image)).numpy(), *others]))


@CHECKS.register("onnx-memory")
def check_memory(path: str | Path, planned: int, limit: int | None, what: str) -> float:
    """Bytes of live activations of a written file, summed while ONNX Runtime runs it node by node, against what the plan says it
    needs and the budget that was asked for.

    Catches: a plan that counts another way than the file runs: joined tiles, copies, nodes in another order.

    Tolerance: none: not a byte more than planned, nor than the budget.

    Cost: one pass of the network; MobileNetV2 at 224, 0.05 s of one core, 1 % (AMD EPYC).
    """
    peak = executed(path).peak_bytes
    most = planned if limit is None else min(planned, limit)
    if peak > most:
        raise CheckFailed(
            f"{what}: check 'onnx-memory' failed: the file needs {peak:,} bytes of live activations, and {most:,} were "
            f"{'planned' if most == planned else 'asked for'}, so it is not written"
        )
    return (planned - peak) / max(1, planned)
