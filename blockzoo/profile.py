"""profile: what a network costs on paper, and what the stage under test alone costs. Nothing is computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.keywords import ScaffoldKeywords
from blockzoo.core.settings import Scaffold
from blockzoo.core.spec import CLASSES, NetworkSpec
from blockzoo.core.subject import Subject

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from blockzoo.measure.costs import Costs, Measured

DEFAULT_SHAPE = (1, 3, 32, 32)
HOW_TO_COUNT = "torch.utils.flop_counter.register_flop_formula gives it a formula (2 FLOPs = 1 MAC)"
"""The remedy for an operation whose multiply-adds nobody knows."""


@dataclass(frozen=True)
class Profile:
    """Costs on paper for one input of `input_shape` (B, C, H, W); `stage` is None for a whole network."""

    subject: str
    input_shape: tuple[int, ...]
    network: Costs
    stage: Costs | None
    output_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()  # how it was measured, where not as usual
    unseen: tuple[str, ...] = ()  # those of them that name weights which are no parameters, nor to be seen

    def columns(self) -> dict[str, Any]:
        """One flat row; the costs of the stage under test have the prefix `stage_`."""
        stage = {f"stage_{k}": v for k, v in _columns(self.stage).items()} if self.stage else {}
        shapes = {"input_shape": list(self.input_shape), "output_shape": list(self.output_shape)}
        notes = {"notes": "; ".join(self.notes)} if self.notes else {}
        return {"subject": self.subject, **shapes, **_columns(self.network), **stage, **notes}


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
    (scaffold,) = sorted_into(settings, Scaffold, what="profile_block")
    shape = check_shape(input_shape)
    if isinstance(subject, str):
        Subject.parse(subject)  # before torch is loaded: a wrong name is answered at once
    from torch import nn

    if isinstance(subject, nn.Module):
        return get_model_profile(subject, shape, memory=memory, strict=strict)
    from blockzoo.models.own import classes_of
    from blockzoo.models.resolve import build_network

    block = None if isinstance(subject, str | Subject) else subject
    registered = BLOCKS.name_of(block) if block else None
    parsed = Subject.parse(registered or "ResNetBasicBlock" if block else str(subject))
    spec = NetworkSpec(
        str(parsed if parsed.position else parsed.at(position or "mid")),
        classes_of(parsed, out_dim, CLASSES),
        shape[1],
        **vars(scaffold),
    )
    if not spec.parsed.is_block:
        return _checked(_whole(spec.subject, lambda: build_network(spec), shape, memory), strict)
    name = spec.subject if registered or block is None else f"{block.__name__}/{spec.parsed.position}"
    return _checked(_in_scaffold(name, spec, block, shape, memory), strict)


def get_model_profile(
    model: nn.Module,
    input_shape: Sequence[int] = DEFAULT_SHAPE,
    *,
    memory: bool = True,
    strict: bool = False,
) -> Profile:
    """The costs of a network at hand, which is left as it is; options as in `profile_block`."""
    import torch

    from blockzoo.models.copying import check_shapes_are_known, duplicate, on_meta

    check_shapes_are_known(model)

    def build() -> nn.Module:
        return on_meta(model) if torch.get_default_device().type == "meta" else duplicate(model).cpu()

    return _checked(_whole(type(model).__name__, build, check_shape(input_shape), memory), strict)


def quick_profile(block: str, position: str = "mid", **options: Any) -> dict[str, Any]:
    """`profile_block` as a flat dictionary."""
    return profile_block(block, position, **options).columns()


def _in_scaffold(
    name: str, spec: NetworkSpec, block: type[nn.Module] | None, shape: tuple[int, ...], memory: bool
) -> Profile:
    """Of a block: the parts of the scaffold around it, each different one measured once, and added up."""
    from blockzoo.measure.costs import check_added_parts, measure_chain, total
    from blockzoo.models.scaffold import scaffold_parts

    parts = scaffold_parts(spec, block)
    with _shape_errors(name, shape):
        chain = measure_chain([(part.key, part.build) for part in parts], shape, memory=memory)
    stage = [measured for measured, part in zip(chain, parts, strict=True) if part.active]
    network_costs, stage_costs = total(chain), total(stage)
    if any(not part.key[0].__module__.startswith("blockzoo.") for part in parts if part.active):
        check_added_parts(name, network_costs, [part.build for part in parts], shape)
    return Profile(name, shape, network_costs, stage_costs, tuple(chain[-1].shape), *_notes(chain))


def _whole(name: str, build: Callable[[], nn.Module], shape: tuple[int, ...], memory: bool) -> Profile:
    """Of a network that is no block in the scaffold: it is one part."""
    from blockzoo.measure.costs import measure_chain, total

    with _shape_errors(name, shape):
        chain = measure_chain([(None, build)], shape, memory=memory)
        return Profile(name, shape, total(chain), None, tuple(chain[-1].shape), *_notes(chain))


def _notes(chain: Sequence[Measured]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notes, and those of them that name weights which are not to be seen."""
    notes = dict.fromkeys(note for block in chain for note in block.notes)
    return tuple(notes), tuple(dict.fromkeys(note for block in chain for note in block.unseen))


def _checked(profile: Profile, strict: bool) -> Profile:
    if strict and profile.unseen:
        said = "; ".join(profile.unseen)
        raise UsageError(f"{profile.subject}: {said}; make them parameters, or leave out --strict")
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
            said = text if isinstance(error, (RuntimeError, ValueError)) else f"{kind.__name__}: {text}"
            raise UsageError(f"{self.name} cannot take an input of shape {self.shape}: {said}") from error


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["profile", *sys.argv[1:]]))
