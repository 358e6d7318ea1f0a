"""Layers whose branches are merged for deployment: what they become works on the tiles that the branches worked on.

A convolution of each tile by itself is linear too, so branches add up to one kernel as they do on a whole map.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from torch import nn

from blockzoo.models.merging import merging_method
from blockzoo.tiling.geometry import Blocking
from blockzoo.tiling.layers.conv import BlockConv2d, PaddingMode, StrideMode


class _Cut(NamedTuple):
    """How convolutions are cut; see `BlockConv2d`."""

    block_size: tuple[int, int]
    blocking: Blocking
    padding_mode: PaddingMode
    stride_mode: StrideMode


def keep_tiles_when_merged(network: nn.Module) -> None:
    """Give every module that can be merged, and whose convolutions all work on tiles, a class that cuts what it is merged to.

    Whether merging computes the same is not decided here: it is compared where it is used (check `merged-branches`).
    """
    for module in list(network.modules()):
        method, cut = merging_method(module), _cut_of(module)
        if method is not None and cut is not None:
            kind = next(kind for kind in type(module).__mro__ if kind.__module__ != __name__)
            module.__class__ = _merged_on_tiles(kind, method, cut)


def _cut_of(module: nn.Module) -> _Cut | None:
    """How its convolutions are cut; None where those that read neighbours are not, or not all alike."""
    convolutions = [
        layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1
    ]
    cuts = {
        _Cut(layer.block_size, layer.blocking, layer.padding_mode, layer.stride_mode)  # type: ignore[arg-type]
        if type(layer) is BlockConv2d
        else None
        for layer in convolutions
    }
    return cuts.pop() if len(cuts) == 1 else None


@cache
def _merged_on_tiles(kind: type[nn.Module], method: str, cut: _Cut) -> type[nn.Module]:
    """The same class each time: what was found of one of its modules holds of others."""

    def merge(self: nn.Module) -> nn.Module | None:
        merged: Any = getattr(kind, method)(self)
        if merged is None:
            _cut_children(self, cut)
        return _on_tiles(merged, cut) if isinstance(merged, nn.Module) else merged

    return type(f"Block{kind.__name__}", (kind,), {"__module__": __name__, method: merge})


def _on_tiles(module: nn.Module, cut: _Cut) -> nn.Module:
    if type(module) is nn.Conv2d and max(module.kernel_size) > 1:
        return BlockConv2d.of(module, *cut)
    _cut_children(module, cut)
    return module


def _cut_children(module: nn.Module, cut: _Cut) -> None:
    for name, child in list(module.named_children()):
        setattr(module, name, _on_tiles(child, cut))
