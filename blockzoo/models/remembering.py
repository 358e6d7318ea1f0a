"""Does a network keep something from one call for the next, by assigning it? A graph of one call has no place for that."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import fx, nn

from blockzoo.core.errors import UsageError

DEPTH = 4
"""Lists in dictionaries in objects, so far down numbers are looked for."""
OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""
LIBRARIES = ("torch.", "torchvision.", "timm.", "blockzoo.")


def numbers(module: nn.Module) -> dict[str, str]:
    """What is a number or text among the attributes of a module and those inside, of their classes and of the files of these, by
    path; also in lists, dictionaries and plain objects.
    """
    by_path: dict[str, str] = {}
    for path, layer in module.named_modules():
        for name, value in vars(layer).items():
            if name not in OWN or name == "training":
                _collect(f"{path}.{name}".lstrip("."), value, by_path, DEPTH)
    kinds = {kind for layer in module.modules() for kind in type(layer).__mro__}
    for kind in kinds:
        if kind is object or f"{kind.__module__}.".startswith(LIBRARIES):
            continue
        file = sys.modules.get(kind.__module__)
        for owner, called in ((kind, kind.__name__), (file, kind.__module__)):
            for name, value in list(vars(owner).items()) if owner else ():
                if not name.startswith("__"):
                    _collect(f"{called}.{name}", value, by_path, 2)
    return by_path


def _collect(path: str, value: Any, by_path: dict[str, str], depth: int) -> None:
    if isinstance(value, (bool, int, float, complex, str, itertools.count)):
        by_path[path] = repr(value)
    elif depth and isinstance(value, Mapping):
        for key, inner in list(value.items()):
            _collect(f"{path}[{key!r}]", inner, by_path, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset, deque)):
        for place, inner in enumerate(value):
            _collect(f"{path}[{place}]", inner, by_path, depth - 1)
    elif depth and isinstance(getattr(value, "__dict__", None), dict) and not _is_code(value):
        for name, inner in list(vars(value).items()):
            _collect(f"{path}.{name}", inner, by_path, depth - 1)


def _is_code(value: Any) -> bool:
    kinds = (type, ModuleType, FunctionType, MethodType, torch.Tensor, nn.Module)
    return isinstance(value, kinds) or f"{type(value).__module__}.".startswith(("torch.", "typing."))


def held(module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that are attributes of a module and those inside, state included, by path."""
    return {
        f"{path}.{name}".lstrip("."): value
        for path, layer in module.named_modules()
        for name, value in {**vars(layer), **layer._parameters, **layer._buffers}.items()
        if isinstance(value, torch.Tensor)
    }


class Assigned:
    """What one call of a network left in place of what there was.

    Args:
        module: that is traced, before the call.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, self._before = module, held(module)
        self._state = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
        self._nodes: dict[str, fx.Node | None] = {}
        self._numbers = [numbers(module)]  # before the first call, and after each

    def see(self, node_of: Callable[[Any], fx.Node | None]) -> None:
        """After the call, while it is traced.

        Args:
            node_of: the operation that made a tensor.
        """
        for path, value in held(self._module).items():
            old = self._before.get(path)
            if value is not old:
                self._nodes[path] = node_of(value)
        self._numbers.append(numbers(self._module))

    def refuse_what_is_read(self, made: fx.GraphModule, again: Callable[[], fx.GraphModule]) -> None:
        """What is assigned and never read, and what does not depend on the image (a grid that is kept), does no harm.

        Args:
            made: the traced call.
            again: traces another call of the same module, as the first one left it.

        Raises:
            UsageError: the next call reads what this one left, a parameter or buffer is another, or a number is another after
                each call (every eighth frame may be refined); names the attribute.
        """
        read = {
            id(getattr(made, str(n.target))): n for n in made.graph.nodes if n.op == "get_attr" and n.users
        }
        own = {path: read.get(id(self._before.get(path))) for path in self._nodes}
        sources = {node for node in (*own.values(), *made.graph.find_nodes(op="placeholder")) if node}
        left = [path for path, node in self._nodes.items() if node and sources & _behind(node)]
        for path in left:
            if path in self._state or own[path] is not None:
                self._refuse(path)
        if changed := _differing(*self._numbers[:2]):
            left += changed
        if left:
            try:
                same = str(again().graph) == str(made.graph)
            except Exception:
                same = False
            if not same:
                self._refuse(left[0])
            if counting := _differing(*self._numbers[1:3]):
                self._refuse(counting[0], ", another value in each call")

    def _refuse(self, path: str, more: str = "") -> None:
        raise UsageError(
            f"{type(self._module).__name__} cannot be traced: it assigns {path} in its forward pass{more}, which stays for the "
            "next call; give it as an input and return what becomes of it"
        )


def _differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [path for path in after | before if before.get(path) != after.get(path)]


def _behind(node: fx.Node) -> set[fx.Node]:
    """All that a value was made of, itself included."""
    sources, open_ = {node}, [node]
    while open_:
        fresh = {*open_.pop().all_input_nodes} - sources
        sources |= fresh
        open_ += fresh
    return sources
