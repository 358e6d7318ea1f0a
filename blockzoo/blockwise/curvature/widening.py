"""A network in double precision throughout: its casts to fewer bits, and its constants of fewer bits, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from blockzoo.models.copying import duplicate, tensors_in

FEWER = (torch.float32, torch.float16, torch.bfloat16)
CASTS = ("float", "half", "bfloat16")
IN_PLACE = ("__setitem__", "__set__", "__delete__")


class AllDouble(TorchFunctionMode):
    """Within, every function of torch takes and gives float64 where it would numbers of fewer bits.

    What is written to in place stays what it is; automatic mixed precision is off; what torch does not see as a function
    (compiled code, arrays of numpy) goes its own way.
    """

    rests = False

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name, kwargs = getattr(function, "__name__", ""), kwargs or {}
        if self.rests:
            return function(*args, **kwargs)
        targets = args[:1] if _writes(name) else ()
        out = {key: kwargs[key] for key in ("out",) if key in kwargs}
        if name in CASTS:
            function = torch.Tensor.double
        with ExitStack() as stack:
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            value = function(*targets, *_widened(args[len(targets) :]), **{**_widened(kwargs), **out})
        return value if targets or name == "__get__" else _widened(value)


def copied(module: nn.Module) -> nn.Module:
    """A copy of a network as it is, also within `AllDouble`: of where its parameters lie, and in which types."""
    before, AllDouble.rests = AllDouble.rests, True
    try:
        return duplicate(module)
    finally:
        AllDouble.rests = before


def _writes(name: str) -> bool:
    """Whether a function changes its first argument."""
    plain = name.strip("_")
    return name in IN_PLACE or (name.endswith("_") and not name.endswith("__")) or name == f"__i{plain[1:]}__"


def _widened(value: Any) -> Any:
    """A value, and what is in it, with float64 for types of fewer bits; itself where there are none."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in FEWER else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in FEWER else value
    if type(value) in (tuple, list):
        return type(value)(_widened(part) for part in value)
    if type(value) is dict:
        return {key: _widened(part) for key, part in value.items()}
    return value


class TypesSeen(TorchDispatchMode):
    """Within, the types of floating numbers that are computed of others are noted: constants that are made are not."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = function(*args, **(kwargs or {}))
        if function is not torch.ops.aten.lift_fresh.default and any(
            map(_floating, tensors_in((args, kwargs)))
        ):
            self.dtypes.update(t.dtype for t in tensors_in(output) if _floating(t))
        return output


def _floating(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point()


def computes_in_less(dtype: torch.dtype, run: Callable[[], object]) -> bool:
    """Whether floating numbers of fewer bits than those of a type are computed within a call."""
    with TypesSeen() as seen:
        run()
    return any(torch.finfo(t).eps > torch.finfo(dtype).eps for t in seen.dtypes)
