"""What computes past torch's dispatcher, where nobody can count it: NumPy, Python, an extension in C++, other threads.

It leaves traces: a tensor is turned into an array or into numbers, work is handed to another thread or process, a
`torch.autograd.Function` gives new values though no operation ran in it, or the result of `torch.empty` is read though no
operation wrote to it.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing.pool
import multiprocessing.process
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CONVERSIONS = {getattr(torch.Tensor, name): f"Tensor.{name}" for name in ("numpy", "__array__", "__dlpack__")}
NUMBERS = {torch.Tensor.tolist: "Tensor.tolist"}
"""What gives the values of a tensor to Python. Of integers they are sizes and places."""
HANDED_OVER = {
    threading.Thread: ("start",),
    threading.Condition: ("notify",),  # by which queues and events wake threads that wait
    concurrent.futures.ThreadPoolExecutor: ("submit",),
    concurrent.futures.ProcessPoolExecutor: ("submit",),
    multiprocessing.pool.Pool: ("apply_async", "_map_async", "imap", "imap_unordered"),
    multiprocessing.process.BaseProcess: ("start",),
    subprocess.Popen: ("__init__",),
}
"""What hands work to other threads and processes, by class."""
FEW = 100
"""Numbers that may be read one by one from different tensors: scales, temperatures, lengths."""
ALLOCATE = frozenset("empty empty_like empty_strided empty_permuted new_empty new_empty_strided".split())
SHAPE_ALONE = ("_like", "new_", "sym_", "lift_fresh", "detach", "is_")
"""In the names of operations that do not read the values they are given."""


class Conversions(TorchFunctionMode):
    """Adds to `names` what turns tensors into arrays of others."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], torch.Tensor) and args[0].numel() > 1:
            if func in CONVERSIONS:
                self._names.add(CONVERSIONS[func])
            if func in NUMBERS and (args[0].is_floating_point() or args[0].is_complex()):
                self._names.add(NUMBERS[func])
        return func(*args, **(kwargs or {}))


class Unwritten:
    """Adds to `names` the allocations whose values are read, and that no operation wrote."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._empty: dict[int, str] = {}  # by where the values lie
        self._written: set[int] = set()
        self._read: set[tuple[int, int]] = set()  # numbers that were read, by where they lie
        self.computed = 0
        """How many operations so far made values."""

    def wrote(self, tensor: torch.Tensor) -> bool:
        """Did an operation write where the values of `tensor` lie, which is alive since before?"""
        return not storages(tensor).isdisjoint(self._written)

    def saw(self, func: object, args: tuple[Any, ...], kwargs: dict[str, Any], out: object) -> None:
        """An operation ran."""
        name = getattr(getattr(func, "_overloadpacket", None), "__name__", str(func))
        inputs, outputs = storages((args, kwargs)), storages(out)
        written = _written(func, args, kwargs)
        self._written |= written
        if name in ("_local_scalar_dense", "item"):
            self._number(args[0])
        if name in ALLOCATE:
            self._empty |= dict.fromkeys(outputs, f"what fills aten.{name}")
        elif not any(part in name for part in SHAPE_ALONE) and not getattr(func, "is_view", False):
            self.computed += 1
            for storage in inputs - outputs - written:
                if storage in self._empty:
                    self._names.add(self._empty.pop(storage))
            for storage in outputs | written:
                self._empty.pop(storage, None)
        elif not inputs & outputs:
            for storage in outputs:  # where another one lay
                self._empty.pop(storage, None)

    def _number(self, tensor: torch.Tensor) -> None:
        """A number was read from a tensor; of several from one storage, Python makes something."""
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return
        storage = tensor.untyped_storage()._cdata
        here = storage, int(tensor.storage_offset())
        others = {place for place in self._read if place[0] == storage}
        self._read.add(here)
        if others - {here} or len(self._read) > FEW:
            self._names.add("Tensor.item")


def storages(values: Any) -> set[int]:
    """Where the values of the tensors in `values` lie."""
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
    return storages(values)


@contextmanager
def functions_named(unwritten: Unwritten, names: set[str]) -> Iterator[None]:
    """Adds to `names` each `torch.autograd.Function` that is applied and gives new values, though no operation ran in it."""
    function = torch.autograd.Function
    plain = vars(function)["apply"]

    def apply(kind: type, *args: Any, **kwargs: Any) -> Any:
        before = unwritten.computed
        out = plain.__get__(None, kind)(*args, **kwargs)
        if unwritten.computed == before and storages(out) - storages((args, kwargs)):
            names.add(kind.__qualname__)
        return out

    function.apply = classmethod(apply)
    try:
        yield
    finally:
        function.apply = plain


@contextmanager
def handed_over(names: set[str]) -> Iterator[None]:
    """Adds to `names` what hands work to other threads and processes, where the dispatcher's mode does not see it."""
    here, plain = threading.get_ident(), {}

    def named(kind: type, method: str) -> Callable[..., Any]:
        function = getattr(kind, method)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == here:
                names.add(f"{kind.__name__}.{method}".removesuffix(".__init__"))
            return function(*args, **kwargs)

        return call

    for kind, methods in HANDED_OVER.items():
        for method in methods:
            plain[kind, method] = vars(kind)[method]
            setattr(kind, method, named(kind, method))
    try:
        yield
    finally:
        for (kind, method), function in plain.items():
            setattr(kind, method, function)
