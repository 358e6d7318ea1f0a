"""What the conversion of a block comes to on the maps of its network: where it changes nothing, it is the plain block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch

from blockzoo.blocks.converted import Converted
from blockzoo.core.errors import ContractBroken, UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.findings import listed
from blockzoo.models.scaffold import BehindTransition, scaffold_parts, seeded


def check_conversion(spec: NetworkSpec, shape: Sequence[int]) -> str:
    """What the conversions of the blocks of a network change in it, as a sentence; "" where none is converted.

    Args:
        spec: of the network.
        shape: (B, C, H, W) of the images.

    Raises:
        ContractBroken: nothing in one of the stages, or it cannot be done on such maps; the message has the remedy.
    """
    if not spec.parsed.in_scaffold:
        return ""
    stages: dict[str, list[tuple[Converted, str, int, list[str]]]] = {}
    height, width = shape[2:]
    for part in scaffold_parts(spec)[1:-1]:
        maker, in_channels, out_channels, stride, position = part.key
        before, (height, width) = (height, width), (-(-height // stride), -(-width // stride))
        if isinstance(maker, BehindTransition):
            maker, in_channels, stride, before = maker.maker, out_channels, 1, (height, width)
        if isinstance(maker, Converted):
            try:
                changed, whole = _changes(maker, (in_channels, out_channels, stride, position), before)
            except UsageError as error:
                raise ContractBroken(
                    f"{spec.subject} is not used, since {maker.__name__} at {position} cannot be: {error}. It helps to "
                    f"{maker.conversion.remedy}"
                ) from error
            whole = [f"{part.name}.{layer}" for layer in whole]
            stages.setdefault(position, []).append((maker, part.name, changed, whole))
    return "; ".join(_said(spec, position, of_blocks) for position, of_blocks in stages.items())


def _said(spec: NetworkSpec, position: str, blocks: list[tuple[Converted, str, int, list[str]]]) -> str:
    maker, whole = blocks[0][0], [layer for *_, layers in blocks for layer in layers]
    changed = sum(count for *_, count, _ in blocks)
    if not changed:
        plain = getattr(maker.maker, "__name__", maker.maker)
        why = f" ({listed(whole)})" if whole else ", none of whose layers reads its neighbours"
        raise ContractBroken(
            f"{spec.subject} is not used: {maker.__name__} at {position} is {plain} itself{why}: {maker.conversion.remedy}"
        )
    of_all = f"all {changed}" if not whole else f"{changed} of {changed + len(whole)}"
    rest = f"; as in the plain block: {listed(whole)}" if whole else ""
    return f"{maker.__name__} at {position} changes {of_all} layers that read their neighbours{rest}"


@cache
def _changes(
    maker: Converted, arguments: tuple[int, int, int, str], size: tuple[int, int]
) -> tuple[int, list[str]]:
    """On the meta device; on a processor where the block does not run without values."""
    shape = 1, arguments[0], *size
    try:
        with torch.device("meta"):
            return maker.conversion.changes(maker.maker(*arguments), shape)
    except Exception:
        with torch.device("cpu"), seeded(0, "conversion"):
            return maker.conversion.changes(maker.maker(*arguments), shape)
