"""What there is to know of one block: what it is, where from, its size over widths, its reach, its signals at the start."""

from __future__ import annotations

import inspect
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from blockzoo.blocks.adapters import adapted
from blockzoo.blocks.lookup import block_class
from blockzoo.core.discovery import first_sentence, source_of
from blockzoo.core.errors import UsageError, reason_of
from blockzoo.core.subject import Subject
from blockzoo.measure.costs import measure
from blockzoo.models.scaffold import seeded

if TYPE_CHECKING:
    from torch import nn

WIDTHS = (16, 32, 64, 128, 256)
SIDE = 32
"""Of the map on which multiply-adds are counted."""
FIELD = 63
"""Of the map on which the reach is measured: larger ones are the whole map."""
IMAGES = 32
DRAWS = 9
"""Of weights and maps, for the reach."""
WITHIN = 0.95
"""Of the gradient: what the effective reach holds."""


@dataclass(frozen=True)
class Size:
    """A block that keeps its shape, at one width.

    Args:
        width: channels.
        trained: parameters of the form that is trained.
        deployed: parameters with all branches merged.
        macs: multiply-adds of the deployed form on a map of `SIDE` x `SIDE`.
        refused: why there is none at this width.
    """

    width: int
    trained: int = 0
    deployed: int = 0
    macs: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Reach:
    """Which inputs the output in the middle of a map depends on, by its gradient at the start, over `DRAWS` draws.

    Args:
        side: of the smallest square around it that holds all of them; None for the whole map.
        effective: of the one that holds 95 % of the gradient's absolute sum.
    """

    side: int | None
    effective: int


@dataclass(frozen=True)
class Signal:
    """What becomes of unit normal inputs and gradients at the start, in training mode, at constant shape.

    Args:
        forward: standard deviation of the outputs.
        backward: standard deviation of the input's gradient, for unit normal gradients of the outputs.
    """

    forward: float
    backward: float


@dataclass(frozen=True)
class BlockCard:
    """What there is to know of one block.

    Args:
        name: as it is named in a command.
        sentence: what it is.
        caveats: what else its description says.
        source: where it comes from.
        sizes: over `WIDTHS`.
        reach: at the first width it has.
        signal: at the same.
    """

    name: str
    sentence: str
    caveats: tuple[str, ...]
    source: str
    sizes: tuple[Size, ...]
    reach: Reach
    signal: Signal


def card_of(name: str) -> BlockCard:
    """The card of a block of the zoo, of a plugin or of a file.

    Args:
        name: as in a command.

    Raises:
        UsageError: it is no block, or has none of the widths.
    """
    maker = adapted(block_class(Subject.parse(name)))
    docstring = inspect.cleandoc(maker.__doc__ or "")
    sentence, *rest = [" ".join(part.split()) for part in docstring.split("\n\n")]
    source = source_of(docstring)
    sizes = tuple(_size(maker, width) for width in WIDTHS)
    width = next((size.width for size in sizes if not size.refused), None)
    if width is None:
        raise UsageError(f"{name} has none of the widths {', '.join(map(str, WIDTHS))}: {sizes[0].refused}")
    try:
        with seeded(0, "card"):
            block, x = maker(width, width, 1, "mid"), torch.randn(IMAGES, width, SIDE // 2, SIDE // 2)
            signal = _signal(block, x)
            reach = _together([_reach(maker(width, width, 1, "mid"), width) for _ in range(DRAWS)])
    except Exception as error:
        raise UsageError(
            f"{name} cannot be looked at on maps of {SIDE // 2} and {FIELD}: {reason_of(error)}"
        ) from error
    caveats = tuple(part for part in rest if not part.startswith(("Source:", "Args:", "Raises:")))
    return BlockCard(name, first_sentence(sentence), caveats, source, sizes, reach, signal)


def _size(maker: object, width: int) -> Size:
    shape = torch.Size((1, width, SIDE, SIDE))
    try:
        measured = measure(lambda: maker(width, width, 1, "mid"), shape, memory=False)  # type: ignore[operator]
    except Exception as error:
        return Size(width, refused=str(error) if isinstance(error, UsageError) else reason_of(error))
    values = measured.quantities
    return Size(width, values["params_trained"], values["params_total"], values["macs"])


def _signal(block: nn.Module, x: torch.Tensor) -> Signal:
    x = x.requires_grad_()
    output = block.train()(x.clone())  # which it may write to
    output.backward(torch.randn_like(output))
    assert x.grad is not None
    return Signal(float(output.detach().std()), float(x.grad.std()))


def _reach(block: nn.Module, width: int) -> Reach:
    """By the gradient of the output in the middle of a map, all channels with random signs."""
    for parameter in block.parameters():
        if not parameter.any():  # a branch that starts as nothing reaches all the same
            torch.nn.init.normal_(parameter)
    x = torch.randn(8, width, FIELD, FIELD, requires_grad=True)  # some close a path that others leave open
    middle = FIELD // 2
    output = block.eval()(x.clone())[:, :, middle, middle]
    (output * torch.randn_like(output)).sum().backward()
    assert x.grad is not None
    weights = x.grad.abs().sum((0, 1)).double()
    rows, columns = weights.nonzero(as_tuple=True)
    reach = int(torch.stack([(rows - middle).abs().max(), (columns - middle).abs().max()]).max())
    squares = [float(_square(weights, middle, radius)) for radius in range(middle + 1)]
    effective = next(radius for radius, inside in enumerate(squares) if inside >= WITHIN * squares[-1])
    return Reach(None if reach == middle else 2 * reach + 1, 2 * effective + 1)


def _together(drawn: list[Reach]) -> Reach:
    """The farthest of several draws, some of which lack a path that a ReLU closes, and the median of what they hold."""
    sides = [reach.side for reach in drawn]
    farthest = None if None in sides else max(side for side in sides if side is not None)
    return Reach(farthest, int(statistics.median_low(reach.effective for reach in drawn)))


def _square(weights: torch.Tensor, middle: int, radius: int) -> torch.Tensor:
    inside = slice(middle - radius, middle + radius + 1)
    return weights[inside, inside].sum()
