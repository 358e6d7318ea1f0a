"""What computes past torch's dispatcher, where nobody can count it: NumPy, an extension in C++, a kernel of one's own.

It leaves traces: a tensor is turned into an array, a `torch.autograd.Function` gives new values though no operation ran in it, or
the result of `torch.empty` is read though no operation wrote to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CONVERSIONS = {getattr(torch.Tensor, name): f"Tensor.{name}" for name in ("numpy", "__array__", "__dlpack__")}
ALLOCATE = frozenset("empty empty_like empty_strided empty_permuted new_empty new_empty_strided".split())
SHAPE_ALONE = ("_like", "new_", "sym_", "lift_fresh", "detach", "is_")
"""In the names of operations that do not read the values they are given."""


class Conversions(TorchFunctionMode):
    """Adds to `found` what turns tensors into arrays of others."""

    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CONVERSIONS and args and args[0].numel() > 1:
            self._found.add(CONVERSIONS[func])
        return func(*args, **(kwargs or {}))


class Unwritten:
    """Adds to `found` the allocations whose values are read, and that no operation wrote."""

    def __init__(self, found: set[str]) -> None:
        self._found = found
        self._empty: dict[int, str] = {}  # by where the values lie
        self._written: set[int] = set()
        self.computed = 0
        """How many operations so far made values."""

    def wrote(self, tensor: torch.Tensor) -> bool:
        """Did an operation write where the values of `tensor` lie, which is alive since before?"""
        return not _storages(tensor).isdisjoint(self._written)

    def saw(self, func: Any, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        """An operation ran."""
        name = getattr(getattr(func, "_overloadpacket", None), "__name__", str(func))
        given, made = _storages((args, kwargs)), _storages(out)
        written = _written(func, args, kwargs)
        self._written |= written
        if name in ALLOCATE:
            self._empty |= dict.fromkeys(made, f"what fills aten.{name}")
        elif not any(part in name for part in SHAPE_ALONE) and not getattr(func, "is_view", False):
            self.computed += 1
            for storage in given - made - written:
                if storage in self._empty:
                    self._found.add(self._empty.pop(storage))
            for storage in made | written:
                self._empty.pop(storage, None)
        elif not given & made:
            for storage in made:  # where another one lay
                self._empty.pop(storage, None)


def _storages(values: Any) -> set[int]:
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))
    return {
        tensor.untyped_storage()._cdata
        for tensor in tensors
        if tensor.layout == torch.strided and tensor.numel()
    }


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> set[int]:
    schema = getattr(func, "_schema", None)
    arguments = schema.arguments if schema is not None else ()
    values = [
        args[place] if place < len(args) else kwargs.get(argument.name)
        for place, argument in enumerate(arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return _storages(values)


@contextmanager
def functions_named(unwritten: Unwritten, found: set[str]) -> Iterator[None]:
    """Adds to `found` each `torch.autograd.Function` that is applied and gives new values, though no operation ran in it."""
    function = torch.autograd.Function
    plain = vars(function)["apply"]

    def apply(kind: type, *args: Any, **kwargs: Any) -> Any:
        before = unwritten.computed
        out = plain.__get__(None, kind)(*args, **kwargs)
        if unwritten.computed == before and _storages(out) - _storages((args, kwargs)):
            found.add(kind.__qualname__)
        return out

    function.apply = classmethod(apply)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        function.apply = plain  # type: ignore[method-assign]
