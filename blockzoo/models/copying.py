"""Copies of modules, also of those whose weights are computed."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Shaped


def duplicate(module: nn.Module) -> nn.Module:
    """A copy that shares nothing with `module`; parameters in one place of memory still are.

    Tensors that are results (as of weight normalisation, or maps that a call left in an attribute, a list or a dict), which
    `copy.deepcopy` refuses, are copied by their values.
    """
    non_leaves = [t for layer in module.modules() for t in tensors_in(vars(layer)) if not t.is_leaf]
    memo = {id(t): t.detach().clone() for t in non_leaves}
    for group in by_storage(module.parameters()):
        if _is_laid_out(group):
            memo |= _laid_out(group, _whole(group[0]).clone())
    clone = copy.deepcopy(module, memo)
    for parameter in clone.parameters():
        if not parameter.is_leaf:  # of a scripted network: a result of the one that was copied
            parameter.detach_().requires_grad_()
    return clone


def on_meta(module: nn.Module) -> nn.Module:
    """A copy without values, on the meta device; what is one tensor under two names stays one (`Module.to` makes it two)."""
    return like(module, "meta")


def like(module: nn.Module, device: str) -> nn.Module:
    """A copy on a device, of whatever values."""
    memo: dict[int, torch.Tensor] = {}
    for _, tensor in [*module.named_parameters(), *module.named_buffers(), *plain_tensors(module)]:
        empty = torch.empty_like(tensor, device=device, requires_grad=False)
        if isinstance(tensor, nn.Parameter):
            empty = nn.Parameter(empty, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = empty
    for group in by_storage(module.parameters()):
        if _is_laid_out(group):
            memo |= _laid_out(group, torch.empty_like(_whole(group[0]), device=device))
    return copy.deepcopy(module, memo)


def by_storage(tensors: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Tensors of one type of number that lie in one storage together; those that have none alone."""
    groups: dict[object, list[torch.Tensor]] = {}
    for number, tensor in enumerate(tensors):
        stored = not is_lazy(tensor) and tensor.layout == torch.strided and tensor.numel()
        key = (tensor.untyped_storage()._cdata, tensor.dtype) if stored else number
        groups.setdefault(key, []).append(tensor)
    return list(groups.values())


def distinct(tensor: Shaped[torch.Tensor, ...]) -> Shaped[torch.Tensor, ...]:
    """A view of each number once, where a tensor is expanded."""
    if is_lazy(tensor) or tensor.layout != torch.strided or all(tensor.stride()):
        return tensor
    return tensor[tuple(slice(1) if stride == 0 else slice(None) for stride in tensor.stride())]


def _is_laid_out(group: list[torch.Tensor]) -> bool:
    """Is how these lie lost in plain copies?"""
    return len(group) > 1 or distinct(group[0]) is not group[0]


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of its storage."""
    return tensor.detach().as_strided((tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0)


def _laid_out(group: list[torch.Tensor], whole: torch.Tensor) -> dict[int, torch.Tensor]:
    """Parameters in another storage as these lie in theirs, by the identity of these."""
    return {
        id(t): nn.Parameter(whole.as_strided(t.size(), t.stride(), t.storage_offset()), t.requires_grad)
        for t in group
    }


def check_shapes_are_known(module: nn.Module) -> None:
    """It has no lazy layer that was not called yet.

    Raises:
        UsageError: it has; names the weight.
    """
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise UsageError(
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
    return [path for path, child in module.named_modules(remove_duplicate=False) if child is layer]


def replaced(module: nn.Module, layer: nn.Module, by: nn.Module) -> nn.Module:
    """`module` with `by` wherever `layer` stands: under every name, also where it is the root or held by its parent twice."""
    for parent in list(module.modules()):
        for leaf, child in list(parent._modules.items()):
            if child is layer:
                parent._modules[leaf] = by
    return by if module is layer else module
