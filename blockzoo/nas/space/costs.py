"""Parameters and multiply-adds of every network of the space, without building any.

Both depend on the operations alone: a network costs stem + head + reductions + the sum over its live nodes of what
their operation costs at its stage. Nine numbers a stage, 45 sums of them, one sum over three axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.options import Timing
from blockzoo.nas.space.macro import MacroSpace
from blockzoo.nas.space.published import published_space

Counts = npt.NDArray[np.int64]


class Cost(NamedTuple):
    """Parameters and MACs of convolutions and linear layers, for one image."""

    params: int
    macs: int

    def plus(self, *others: Cost) -> Cost:
        """The sum."""
        return Cost(self.params + sum(o.params for o in others), self.macs + sum(o.macs for o in others))

    def times(self, n: int) -> Cost:
        """The cost of `n` of these."""
        return Cost(n * self.params, n * self.macs)


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the cells, and the images.

    Raises:
        UsageError: one of them is no whole number of 1 or more; names all that are not.
    """

    width: int = Timing.width
    cells_per_stage: int = 1
    num_classes: int = Timing.num_classes
    image_size: int = Timing.image_size
    in_channels: int = 3

    def __post_init__(self) -> None:
        faults = [
            f"{name} {value!r}"
            for name, value in vars(self).items()
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1
        ]
        if faults:
            raise UsageError(f"skeleton: {', '.join(faults)}: give whole numbers of 1 or more")


def conv_bn(in_channels: int, out_channels: int, kernel: int, size: int, groups: int = 1) -> Cost:
    """A convolution with bias and its batch norm, on an output of `size` x `size`.

    weights = in / groups out kernel^2; parameters = weights + out + 2 out; MACs = weights size^2.

    Examples:
        >>> conv_bn(3, 32, kernel=3, size=32)
        Cost(params=960, macs=884736)
    """
    weights = in_channels // groups * out_channels * kernel**2
    return Cost(weights + out_channels + 2 * out_channels, weights * size**2)


def _conv(c: int, size: int) -> Cost:
    return conv_bn(c, c, 3, size).times(4)


def _mbconv(c: int, size: int) -> Cost:
    gate = Cost((2 * c) ** 2 + 2 * c, (2 * c) ** 2)
    return conv_bn(c, 2 * c, 3, size).plus(gate.times(2), conv_bn(2 * c, c, 1, size)).times(2)


def _bconv(c: int, size: int) -> Cost:
    bottlenecks = [
        conv_bn(c, b, 1, size).plus(conv_bn(b, b, 5, size, groups=b), conv_bn(b, c, 1, size))
        for b in (c // 2, c, 2 * c)
    ]
    return bottlenecks[0].plus(*bottlenecks[1:]).times(2)


def _reduction(c: int, size: int) -> Cost:
    main = -(-size // 2)
    return conv_bn(c, 2 * c, 3, main).plus(conv_bn(2 * c, 2 * c, 3, main), conv_bn(c, 2 * c, 2, size // 2))


KNOWN: dict[str, Callable[[int, int], Cost]] = {"conv": _conv, "mbconv": _mbconv, "bconv": _bconv}


@cache
def operation_cost(name: str, channels: int, size: int) -> Cost:
    """One operation at a width and map size: by formula, or measured without computing for a block of the zoo."""
    if name in KNOWN:
        return KNOWN[name](channels, size)
    import torch

    from blockzoo.measure.costs import measure, total
    from blockzoo.nas.training.networks import operation

    shape = torch.Size((1, channels, size, size))
    costs = total([measure(lambda: operation(name)(channels), shape, memory=False)])
    return Cost(costs.params_trained, costs.macs)


def static_info(space: MacroSpace | None = None, skeleton: Skeleton | None = None) -> tuple[Counts, Counts]:
    """(networks,) parameters and (networks,) MACs of all networks of a space, by index. Exact; not to be written to.

    Raises:
        UsageError: no such space or skeleton, or one whose networks cannot be built.

    Examples:
        >>> params, macs = static_info()
        >>> len(params), int(params[12345]), int(macs[12345])
        (91125, 2772260, 267256832)
    """
    for what, given, kind in (("space", space, MacroSpace), ("skeleton", skeleton, Skeleton)):
        if given is not None and not isinstance(given, kind):
            raise UsageError(f"{what} {given!r}: give a {kind.__name__}")
    space, skeleton = space or published_space(), skeleton or Skeleton()
    if skeleton.width < 2 and "bconv" in space.ops:
        raise UsageError(
            f"skeleton width {skeleton.width}: bconv has half of the channels inside, so give 2 or more"
        )
    if skeleton.image_size < 2**space.stages:
        raise UsageError(
            f"skeleton image size {skeleton.image_size}: {space.stages} stages halve it, so give {2**space.stages} or more"
        )
    return _static_info(space, skeleton)


@cache
def _static_info(space: MacroSpace, skeleton: Skeleton) -> tuple[Counts, Counts]:
    width, size = skeleton.width, skeleton.image_size
    fixed = conv_bn(skeleton.in_channels, width, 3, size)
    total = np.zeros((2, 1), np.int64)
    used = _operations_used(space)
    for _ in range(space.stages):
        costs = np.array([operation_cost(op, width, size) for op in space.ops], np.int64)
        stage = (used @ costs).T * skeleton.cells_per_stage  # (2, cells)
        total = (stage[:, :, None] + total[:, None, :]).reshape(2, -1)  # later stages are slower digits
        fixed = fixed.plus(_reduction(width, size))
        width, size = 2 * width, size // 2
    head = width * skeleton.num_classes
    fixed = fixed.plus(Cost(head + skeleton.num_classes, head))
    params, macs = total + np.array(fixed)[:, None]
    params.flags.writeable = macs.flags.writeable = False
    return params, macs


@cache
def _operations_used(space: MacroSpace) -> Counts:
    """(cells, ops): how often each operation occurs in each unique cell."""
    return np.array(
        [[graph.ops.count(op) for op in range(len(space.ops))] for graph in space.cells.graphs], np.int64
    )
