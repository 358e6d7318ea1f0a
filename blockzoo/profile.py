"""profile: what a network costs on paper, and what the stage under test alone costs. Nothing is computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import BLOCKS, RESULTS
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.keywords import ScaffoldKeywords
from blockzoo.core.result import Result, Row
from blockzoo.core.settings import Scaffold
from blockzoo.core.spec import CLASSES, NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.core.units import number

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from blockzoo.core.quantity import OnPaper
    from blockzoo.measure.costs import Costs, Measured
    from blockzoo.report.drawing import Figure

DEFAULT_SHAPE = (1, 3, 32, 32)
HOW_TO_COUNT = "torch.utils.flop_counter.register_flop_formula gives it a formula (2 FLOPs = 1 MAC)"
"""The remedy for an operation whose multiply-adds nobody knows."""


@RESULTS.register("profile")
@dataclass(frozen=True, eq=False, repr=False)
class Profile(Result):
    """Costs on paper for one input of `input_shape` (B, C, H, W); `stage` is None for a whole network."""

    subject: str
    input_shape: tuple[int, ...]
    network: Costs
    stage: Costs | None
    output_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()  # how it was measured, where not as usual
    unseen: tuple[str, ...] = ()  # those of them that name weights which are no parameters, nor to be seen
    said: str = ""  # what the conversion of a block changes in it

    def columns(self) -> dict[str, Any]:
        """One flat row; the costs of the stage under test have the prefix `stage_`."""
        stage = {f"stage_{k}": v for k, v in _columns(self.stage).items()} if self.stage else {}
        shapes = {"input_shape": list(self.input_shape), "output_shape": list(self.output_shape)}
        notes = {"notes": "; ".join(self.notes)} if self.notes else {}
        remark = {"said": self.said} if self.said else {}
        return {"subject": self.subject, **shapes, **_columns(self.network), **stage, **notes, **remark}

    def headline(self) -> str:
        costs, shape = self.network, " x ".join(map(str, self.input_shape))
        return f"{self.subject}: {number(costs.macs)} MACs, {number(costs.params_total)} parameters, input {shape}"

    def table_rows(self) -> list[Row]:
        return [self.columns()]

    def figure(self) -> Figure:
        """The share of the stage under test in each cost; of a network without one its memory."""
        from blockzoo.report.pictures.on_paper import draw_costs

        stage = None if self.stage is None else vars(self.stage)
        return draw_costs(
            self.subject, vars(self.network), stage, "; ".join((*self.notes, self.said)).strip("; ")
        )

    @classmethod
    def types_by_name(cls) -> dict[str, Any]:
        from blockzoo.measure.costs import Costs

        return {"Costs": Costs}


def _columns(costs: Costs) -> dict[str, Any]:
    return vars(costs) | {"uncounted_operations": ", ".join(costs.uncounted_operations)}


def profile_block(
    subject: str | type[nn.Module] | nn.Module,
    position: str | None = None,
    *,
    out_dim: int | None = None,
    input_shape: Sequence[int] = DEFAULT_SHAPE,
    memory: bool = True,
    strict: bool = False,
    **settings: Unpack[ScaffoldKeywords],
) -> Profile:
    """Count parameters, MACs and bytes of a block in the scaffold, or of any network.

    Args:
        subject: a subject such as `InvertedResidual`, `InvertedResidual/late` or `timm:resnet18`; a block's class;
            or a network itself.
        position: stage that holds the block, where the subject does not say it (default mid).
        out_dim: number of classes.
        input_shape: (B, C, H, W); all figures are for this input.
        memory: also find the peak of live activations and what is kept for backward.
        strict: refuse a network with an operation whose multiply-adds nobody knows, or weights that are not to be seen.
        settings: by name, of the table Scaffold in docs/settings.md.

    Raises:
        UsageError: an unknown name, a shape that the network cannot take, or what `strict` refuses.
    """
    shape = check_shape(input_shape)
    network = asked_for(subject, position, out_dim, shape, **settings)
    return check_strict(profile_and_chain(network, shape, memory=memory)[0], strict)


def get_model_profile(
    model: nn.Module,
    input_shape: Sequence[int] = DEFAULT_SHAPE,
    *,
    memory: bool = True,
    strict: bool = False,
) -> Profile:
    """The costs of a network at hand, which is left as it is; options as in `profile_block`."""
    shape = check_shape(input_shape)
    return check_strict(profile_and_chain(_at_hand(model), shape, memory=memory)[0], strict)


def quick_profile(block: str, position: str = "mid", **options: Any) -> dict[str, Any]:
    """`profile_block` as a flat dictionary."""
    return profile_block(block, position, **options).columns()


class Placed(NamedTuple):
    """A part of a network that is to be measured.

    Args:
        name: where it stands, as `stage1.0`; empty: it is the network.
        key: equal for equal parts; None: equal to no other.
        build: makes it on torch's default device.
        active: is it of the stage under test?
    """

    name: str
    key: tuple[Any, ...] | None
    build: Callable[[], nn.Module]
    active: bool = False


class AskedFor(NamedTuple):
    """What a subject means, and the parts that it is measured in, one behind the other.

    Args:
        name: of the subject, with its position.
        parts: of the network.
        in_scaffold: is there a stage under test?
        said: what the conversion of its block changes there.
    """

    name: str
    parts: list[Placed]
    in_scaffold: bool
    said: str = ""


def asked_for(
    subject: str | type[nn.Module] | nn.Module,
    position: str | None,
    out_dim: int | None,
    shape: tuple[int, ...],
    **settings: Unpack[ScaffoldKeywords],
) -> AskedFor:
    """The parts of a block in the scaffold, or of any network; arguments and errors are those of `profile_block`."""
    (scaffold,) = sorted_into(settings, Scaffold, what="profile_block")
    if isinstance(subject, str):
        Subject.parse(subject)  # before torch is loaded: a wrong name is answered at once
    from torch import nn

    if isinstance(subject, nn.Module):
        return _at_hand(subject)
    if not isinstance(subject, type):
        Subject.parse(subject)  # whatever it is, it is a subject
    from blockzoo.models.conversion import check_conversion
    from blockzoo.models.own import classes_of
    from blockzoo.models.resolve import build_network
    from blockzoo.models.scaffold import scaffold_parts

    block = None if isinstance(subject, str | Subject) else subject
    registered = BLOCKS.name_of(block) if block else None
    parsed = Subject.parse(registered or "ResNetBasicBlock" if block else str(subject))
    spec = NetworkSpec(
        str(parsed.placed(position)),
        classes_of(parsed, out_dim, CLASSES),
        shape[1],
        **vars(scaffold),
    )
    if not spec.parsed.is_block:
        parts = [Placed("", None, lambda: build_network(spec))]
        return AskedFor(spec.subject, parts, False, check_conversion(spec, shape))
    name = spec.subject if registered or block is None else f"{block.__name__}/{spec.parsed.position}"
    parts = [Placed(part.name, part.key, part.build, part.active) for part in scaffold_parts(spec, block)]
    return AskedFor(name, parts, True, "" if block else check_conversion(spec, shape))


def _at_hand(model: nn.Module) -> AskedFor:
    import torch

    from blockzoo.models.copying import check_shapes_are_known, duplicate, on_meta

    check_shapes_are_known(model)

    def build() -> nn.Module:
        return on_meta(model) if torch.get_default_device().type == "meta" else duplicate(model).cpu()

    return AskedFor(type(model).__name__, [Placed("", None, build)], in_scaffold=False)


def profile_and_chain(
    asked: AskedFor, shape: tuple[int, ...], *, memory: bool = True, also: Sequence[OnPaper[Any]] = ()
) -> tuple[Profile, list[Measured]]:
    """The costs of a network, and what was measured of each of its parts: each different one is, once, and they are added up.

    Args:
        asked: the network.
        shape: (B, C, H, W) of its input.
        memory: as in `profile_block`.
        also: quantities of no table, measured of each part too.
    """
    from blockzoo.measure.costs import check_added_parts, measure_chain, total

    name, parts, in_scaffold, remark = asked
    with _shape_errors(name, shape):
        chain = measure_chain([(part.key, part.build) for part in parts], shape, memory=memory, also=also)
        costs = total(chain)
    stage = [measured for measured, part in zip(chain, parts, strict=True) if part.active]
    foreign = [
        part
        for part in parts
        if part.active and part.key and not part.key[0].__module__.startswith("blockzoo.")
    ]
    if foreign:
        check_added_parts(name, costs, [part.build for part in parts], shape)
    of_stage = total(stage) if in_scaffold else None
    return Profile(name, shape, costs, of_stage, tuple(chain[-1].shape), *_notes(chain), remark), chain


def _notes(chain: Sequence[Measured]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notes, and those of them that name weights which are not to be seen."""
    notes = dict.fromkeys(note for block in chain for note in block.notes)
    return tuple(notes), tuple(dict.fromkeys(note for block in chain for note in block.unseen))


def check_strict(profile: Profile, strict: bool) -> Profile:
    """The profile itself, unless `strict` refuses it: a UsageError that says why."""
    if strict and profile.unseen:
        reasons = "; ".join(profile.unseen)
        raise UsageError(f"{profile.subject}: {reasons}; make them parameters, or leave out --strict")
    uncounted = profile.network.uncounted_operations
    if strict and uncounted:
        raise UsageError(
            f"{profile.subject}: nobody knows the multiply-adds of {', '.join(uncounted)}; "
            f"{HOW_TO_COUNT}, or leave out --strict"
        )
    return profile


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """(B, C, H, W) of positive whole numbers, or a UsageError."""
    if len(shape) != 4 or any(not isinstance(n, int) or n < 1 for n in shape):
        raise UsageError(f"input shape {tuple(shape)}: give four positive numbers B C H W, such as 1 3 32 32")
    return tuple(shape)


class _shape_errors:
    """Turns whatever a network raises into a UsageError that names the input."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, BlockzooError):
            text = " ".join(str(error).split())
            reason = text if isinstance(error, (RuntimeError, ValueError)) else f"{kind.__name__}: {text}"
            raise UsageError(f"{self.name} cannot take an input of shape {self.shape}: {reason}") from error


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["profile", *sys.argv[1:]]))
