"""`.data` of a tensor, which goes past tracers, as a view of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten


class Data(TorchFunctionMode):
    """`.data`, which goes past the tracer, as a view of the tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.Tensor.data.__get__:  # type: ignore[attr-defined]
            return aten.detach.default(args[0])
        if func == torch.Tensor.data.__set__:  # type: ignore[attr-defined]
            return args[0].copy_(args[1])
        return func(*args, **(kwargs or {}))


@contextmanager
def data_as_views(module: nn.Module) -> Iterator[None]:
    """For tracers of PyTorch's own, which end the process or keep a constant where a network reads or writes `.data`: within,
    the calls of a module see views there, which have the same values.

    Args:
        module: changed within, and afterwards as it was.
    """
    own, override = module.forward, vars(module).get("forward")

    @functools.wraps(own)
    def forward(*given: Any, **named: Any) -> Any:
        with Data():
            return own(*given, **named)

    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if override is not None:
            module.forward = override
