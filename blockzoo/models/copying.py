"""Copies of modules, also of those whose weights are computed."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from blockzoo.core.errors import RequestError


def duplicate(module: nn.Module) -> nn.Module:
    """A copy that shares nothing with `module`. Tensors that are results (as of weight normalisation, or maps that a call left in
    an attribute, a list or a dict) are copied by their values, which `copy.deepcopy` refuses.
    """
    kept = [t for layer in module.modules() for t in tensors_in(vars(layer)) if not t.is_leaf]
    made = copy.deepcopy(module, {id(t): t.detach().clone() for t in kept})
    for parameter in made.parameters():
        if not parameter.is_leaf:  # of a scripted network: a result of the one that was copied
            parameter.detach_().requires_grad_()
    return made


def on_meta(module: nn.Module) -> nn.Module:
    """A copy without values, on the meta device; what is one tensor under two names stays one (`Module.to` makes it two)."""
    memo: dict[int, torch.Tensor] = {}
    for _, tensor in [*module.named_parameters(), *module.named_buffers(), *plain_tensors(module)]:
        empty = torch.empty_like(tensor, device="meta", requires_grad=False)
        if isinstance(tensor, nn.Parameter):
            empty = nn.Parameter(empty, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = empty
    return copy.deepcopy(module, memo)


def check_shapes_are_known(module: nn.Module) -> None:
    """It has no lazy layer that was not called yet.

    Raises:
        RequestError: it has; names the weight.
    """
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise RequestError(
                f"{type(module).__name__}: {name} has no shape yet, it is of a lazy layer; call the network once before"
            )


def plain_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors that are attributes of modules, neither parameters nor buffers, each with its path."""
    for path, layer in module.named_modules():
        for name, value in vars(layer).items():
            if isinstance(value, torch.Tensor):
                yield f"{path}.{name}".lstrip("."), value


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """A tensor, or those in lists, tuples, sets and dicts of any depth."""
    open_, seen = [value], set[int]()
    while open_:
        value = open_.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict | list | tuple | set | deque) and id(value) not in seen:
            seen.add(id(value))
            open_.extend(value.values() if isinstance(value, dict) else value)


def places(module: nn.Module, layer: nn.Module) -> list[str]:
    """All paths at which `layer` stands in `module`; a module may have several names."""
    return [path for path, found in module.named_modules(remove_duplicate=False) if found is layer]


def replaced(module: nn.Module, layer: nn.Module, by: nn.Module) -> nn.Module:
    """`module` with `by` wherever `layer` stands: under every name, also where it is the root or held by its parent twice."""
    for parent in list(module.modules()):
        for leaf, child in list(parent._modules.items()):
            if child is layer:
                parent._modules[leaf] = by
    return by if module is layer else module
