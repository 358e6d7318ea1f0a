"""What networks return: a tensor, or tuples, lists, mappings and dataclasses of them, taken apart and put together again."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from blockzoo.core.errors import UsageError

CONSTANTS = (type(None), bool, int, float, complex, str, bytes, Enum, torch.dtype, torch.device, torch.Size)


@dataclass(frozen=True)
class Leaf:
    """Stands for a tensor of an output: the one of this number."""

    number: int


@dataclass(frozen=True)
class Structure:
    """What is around the tensors of an output.

    Args:
        template: the output, with a `Leaf` for each of its tensors.
    """

    template: Any

    def filled(self, leaves: Sequence[Any]) -> Any:
        """The output with these tensors, in the order of `taken_apart`."""
        return mapped(self.template, lambda leaf: leaves[leaf.number], Leaf)


def taken_apart(output: object) -> tuple[list[torch.Tensor], Structure]:
    """The tensors of an output, in order, and what is around them.

    Raises:
        UsageError: it holds an object in which tensors could hide.
    """
    leaves: list[torch.Tensor] = []

    def kept(tensor: torch.Tensor) -> Leaf:
        leaves.append(tensor)
        return Leaf(len(leaves) - 1)

    template = mapped(output, kept, torch.Tensor)
    return leaves, Structure(template)


def mapped(value: object, function: Callable[[Any], Any], kind: type) -> Any:
    """A copy of a structure with `function` of everything in it that is of a kind.

    Raises:
        UsageError: it holds an object in which such things could hide.
    """
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, CONSTANTS):
        return value
    if isinstance(value, Mapping):
        pairs = {key: mapped(part, function, kind) for key, part in value.items()}
        return _same_mapping(value, pairs)
    if isinstance(value, (tuple, list)):
        return _same_sequence(value, [mapped(part, function, kind) for part in value])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        clone = copy.copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(clone, field.name, mapped(getattr(value, field.name), function, kind))
        return clone
    raise UsageError(
        f"an output of type {type(value).__name__} hides its tensors: return a tensor, or a tuple, list, mapping or dataclass "
        "of them"
    )


def _same_mapping(value: Mapping[Any, Any], pairs: dict[Any, Any]) -> Any:
    """Of the same class, whatever else it holds, with other values."""
    if type(value) is dict:
        return pairs
    try:
        clone: Any = copy.copy(value)
        for key, part in pairs.items():
            clone[key] = part
    except TypeError:  # a view of a mapping, or one that is frozen
        return pairs
    return clone


def _same_sequence(value: Any, parts: list[Any]) -> Any:
    if hasattr(value, "_fields"):  # a named tuple
        return type(value)(*parts)
    return type(value)(parts)
