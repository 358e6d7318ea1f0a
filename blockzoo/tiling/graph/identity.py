"""What an operation is, by the object that does it: a name alone proves nothing.

A function or a class of the user's may be called as one of torch's, a subclass may do something else, and hooks see or change
what a layer makes. What is not known is traced through, or else taken as an operation that no tile goes through.
"""

from __future__ import annotations

import torch
from torch import nn

from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.layers.convolutions import PaddedConv2d
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d

OWN = (BlockConv2d, PaddedConv2d, BlockMaxPool2d, BlockAvgPool2d)
"""Layers of this package."""
TORCH = ("torch", "_operator", "builtins", "math")
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def is_known(layer: nn.Module) -> bool:
    """Does a layer do what its class is known for, and nobody look in between?"""
    kind = type(layer)
    if "forward" in vars(layer) or any(getattr(layer, hooks, None) for hooks in HOOKS):
        return False
    for base in (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d):
        if (
            isinstance(layer, base) and kind not in OWN
        ):  # subclasses that only set options, or make their weight
            names = [name for name in ("forward", "_conv_forward", "__call__") if hasattr(base, name)]
            return all(getattr(kind, name) is getattr(base, name) for name in names)
    return kind in OWN or kind.__module__.startswith("torch.nn.modules.")


def name_of_function(target: object) -> str:
    """A function's name in small letters, in-place forms under the same; with its module where not of torch."""
    if isinstance(target, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        packet = target.overloadpacket if isinstance(target, torch._ops.OpOverload) else target
        space, name = packet._qualified_op_name.split("::")
        return name.rstrip("_") if space == "aten" else f"{space}.{name}"
    name = getattr(target, "__name__", str(target))
    module = getattr(target, "__module__", None) or "torch"
    if module.split(".")[0] in TORCH:
        return name.lower().rstrip("_")
    return f"{module}.{name}"
