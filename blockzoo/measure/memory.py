"""Bytes of activations: the peak of live ones at inference, and those kept for the backward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from blockzoo.models.outputs import main_output


class LiveMemory(TorchDispatchMode):
    """Tracks the storages made inside its context: `.live` bytes now, `.peak` bytes at most.

    A storage counts from the operation that makes it until its last reference dies, once however many views
    it has. A view of what was there before (a table that is an attribute, say) makes none. Workspaces inside a kernel are not
    seen. Works on the meta device, where nothing is allocated.

    Args:
        exclude: tensors that are no memory of the operations, though one returns them.
    """

    def __init__(self, exclude: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.where = ""
        """The operation at which the most was alive."""
        self._known = {_identity(t) for t in exclude}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {_identity(t) for t in tree_leaves((args, kwargs)) if _has_storage(t)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and _identity(tensor) not in inputs:
                self._track(tensor)
        if self.live > self.peak:
            self.peak, self.where = self.live, str(getattr(func, "_overloadpacket", func))
        return out

    def _track(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        identity, size = storage._cdata, storage.nbytes()
        if identity not in self._known:
            self._known.add(identity)
            self.live += size
            weakref.finalize(storage, self._free, identity, size)

    def _free(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self.live -= size


def _has_storage(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided


def _identity(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def peak_memory(fn: Callable[..., Any], *inputs: torch.Tensor) -> int:
    """Peak bytes of live activations while `fn(*inputs)` runs without gradients.

    Parameters, buffers and the inputs are not counted, the output is.

    Examples:
        The outputs of both convolutions are live at once: 2 x 8 x 8 numbers of 4 bytes.

        >>> convolutions = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
        >>> peak_memory(convolutions, torch.zeros(1, 1, 8, 8))
        512
    """
    excluded = [*inputs, *_state(fn)]
    memory = LiveMemory(exclude=excluded)
    with torch.no_grad(), memory:
        out = fn(*inputs)
        del out
    return memory.peak


class Saved(NamedTuple):
    """What one training forward pass keeps for its backward pass, in bytes."""

    inside: int  # tensors that are neither the input nor the output
    input: bool  # is the input among the kept?
    output: bool  # is the output?
    passes_through: bool  # is the output the input's own storage?


class _Kept:
    """A tensor that autograd keeps; it lives as long as the part of the graph that needs it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor.detach()  # an output that keeps itself would never die


def saved_for_backward(fn: Callable[..., Any], x: torch.Tensor) -> Saved:
    """What autograd keeps for the backward pass of the main output of `fn(x)`, apart from parameters and buffers, each storage
    once. Other outputs are let go, as a training does, and what was kept for them alone.
    """
    packed: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def pack(tensor: torch.Tensor) -> _Kept:
        handle = _Kept(tensor)
        packed.add(handle)
        return handle

    # an input that needs a gradient and may be written to, as it is inside a network
    x = x.detach().requires_grad_().clone()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        out = main_output(fn(x), _name(fn)).tensor
    bytes_of = {_identity(k.tensor): k.tensor.untyped_storage().nbytes() for k in packed}
    state = {_identity(t) for t in _state(fn)}
    ends = {_identity(x), _identity(out)}
    inside = sum(size for identity, size in bytes_of.items() if identity not in state | ends)
    return Saved(inside, _identity(x) in bytes_of, _identity(out) in bytes_of, _identity(x) == _identity(out))


def _state(fn: Any) -> list[torch.Tensor]:
    return [*fn.parameters(), *fn.buffers()] if isinstance(fn, nn.Module) else []


def _name(fn: Any) -> str:
    return type(fn).__name__ if isinstance(fn, nn.Module) else "the network"
