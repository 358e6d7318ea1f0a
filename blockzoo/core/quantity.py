"""What a network costs, said once for all places in which it is shown: columns, headings, axes, the docs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar, cast

from blockzoo.core.contracts import QUANTITIES
from blockzoo.core.discovery import first_sentence

if TYPE_CHECKING:
    from torch import Tensor, nn

OfOnePart = TypeVar("OfOnePart")
Form = Literal["built", "deployed", "training", "inference"]
"""In which a part of a network is measured: as it is built, to be looked at and not called; deployed, its branches merged; as
it is built, in training mode; deployed, its batch norms folded too. The last two only where memory is asked for."""


class Quantity:
    """A quantity of a network: its name is the one it is registered under, and its sentence the first of its docstring.

    Attributes:
        unit: what its numbers count; bytes are shown in binary units, parameters to the last one.
        better: which way is.
        label: its line in `profile`.
        heading: of its column in the table of results, with what a number there is divided by; empty: it has none.
        axis: below the horizontal axis of its picture; empty: it has none.
        picture: how the files of that picture end.
        instead_of: the quantity whose picture it takes in a table that lacks that one.
        stored: whether it has a column in the table of results, and of_stage: another one for the stage under test alone.
        place: where it stands among the others; those of one place stand by name.
    """

    name: str
    unit: ClassVar[str] = ""
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    label: ClassVar[str] = ""
    heading: ClassVar[tuple[str, float]] = ("", 1)
    axis: ClassVar[str] = ""
    picture: ClassVar[str] = ""
    instead_of: ClassVar[str] = ""
    stored: ClassVar[bool] = True
    of_stage: ClassVar[bool] = True
    place: ClassVar[int] = 100

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def sentence(self) -> str:
        """What it is, as it stands in a table: without a capital (but for an abbreviation) and a full stop."""
        text = first_sentence(inspect.getdoc(type(self))).removesuffix(".")
        return text if text[1:2].isupper() else text[:1].lower() + text[1:]


@dataclass(frozen=True)
class Specimen:
    """A part of a network in the form in which a quantity of it is measured; leave it as it is.

    Without values, on the meta device; on random ones where it does not run there.

    Args:
        module: the part.
        x: its input, (B, C, H, W), float32.
        macs: multiply-adds of one call of the deployed form; 0 of what is only built.
        output_shape: of its main output; empty of what is only built.
    """

    module: nn.Module
    x: Tensor
    macs: int = 0
    output_shape: tuple[int, ...] = ()


class OnPaper(Quantity, Generic[OfOnePart]):
    """A quantity that is measured without computing: of each part of a network, then of parts that follow one another."""

    form: ClassVar[Form] = "deployed"

    def measure(self, specimen: Specimen) -> OfOnePart:
        """Of one part."""
        raise NotImplementedError

    def total(self, parts: Sequence[OfOnePart]) -> float:
        """Of parts in a row: their sum, unless it says otherwise."""
        return sum(cast(Sequence[float], parts))


class OnTheClock(Quantity):
    """A quantity that is timed (`benchmark`): each column of it has an interval and a doubt beside it."""


def quantities() -> dict[str, Quantity]:
    """All of them by name, in their order."""
    every = [maker(name) for name, maker in QUANTITIES.items()]
    return {quantity.name: quantity for quantity in sorted(every, key=lambda q: (q.place, q.name))}


def on_paper() -> list[OnPaper[object]]:
    """Those that are measured without computing, in their order."""
    return [quantity for quantity in quantities().values() if isinstance(quantity, OnPaper)]
