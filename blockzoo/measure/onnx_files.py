"""Networks as ONNX models for the runtimes that read them, and the memory that these read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from blockzoo.core.errors import UsageError
from blockzoo.core.extras import needed
from blockzoo.models.copying import duplicate
from blockzoo.models.exporting import onnx_program

if TYPE_CHECKING:
    from jaxtyping import Float

Files = dict[tuple[torch.dtype, tuple[int, ...]], bytes]
"""What was exported of one network, by dtype and shape of its input."""
_kept: ContextVar[Files | None] = ContextVar("kept", default=None)


@contextmanager
def kept_in(files: Files) -> Iterator[None]:
    """Within, a network is exported once for each shape, whichever runtimes read it, and however often."""
    token = _kept.set(files)
    try:
        yield
    finally:
        _kept.reset(token)


def onnx_bytes(model: nn.Module, example: Float[torch.Tensor, "B ..."], extra: str) -> bytes:
    """A network as an ONNX model of single precision for inputs of the example's shape, as a file would have it.

    Args:
        model: in evaluation mode, of any precision.
        example: its input.
        extra: that the runtime belongs to, for the error.

    Raises:
        UsageError: torch cannot export it, or a package is not installed.
    """
    for name in ("onnx", "onnxscript"):
        needed(name, extra, "runtimes that read ONNX models")
    cache, shape = _kept.get(), tuple(example.shape)
    if cache is not None and (example.dtype, shape) in cache:
        return cache[example.dtype, shape]
    plain = duplicate(model).float().cpu().to(memory_format=torch.contiguous_format)
    content: bytes = onnx_program(plain, [torch.zeros(shape)]).SerializeToString()
    if cache is not None:
        cache[example.dtype, shape] = content
    return content


def readable(runtime: str, example: Float[torch.Tensor, "B ..."]) -> None:
    """The input lies in memory as these runtimes read it.

    Raises:
        UsageError: channels last.
    """
    if not example.is_contiguous():
        raise UsageError(
            f"{runtime} reads images channel by channel: time it with --memory-format contiguous, in a run of its own where "
            "others are timed in channels_last"
        )


class Buffers:
    """The outputs of a network in memory that a runtime writes to, in the order of its ONNX model.

    Args:
        model: whose outputs they are, called once.
        example: its input (B, ...).

    Raises:
        UsageError: it gives something besides tensors, which a file cannot.
    """

    def __init__(self, model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> None:
        with torch.no_grad():
            leaves, self._form = tree_flatten(model(example.clone()))
        others = sorted({type(leaf).__name__ for leaf in leaves if not isinstance(leaf, torch.Tensor)})
        if others:
            raise UsageError(
                f"{type(model).__name__} returns {', '.join(others)} besides tensors: an ONNX model cannot"
            )
        self._dtypes = [leaf.dtype for leaf in leaves]
        self.tensors = [
            torch.empty(
                leaf.shape,
                dtype=torch.float32 if leaf.is_floating_point() else leaf.dtype,
                device=example.device,
            )
            for leaf in leaves
        ]
        alike = [tensor.dtype for tensor in self.tensors] == self._dtypes
        self._whole: object = tree_unflatten(self.tensors, self._form) if alike else None

    def of(self, places: Sequence[Any]) -> Iterator[tuple[Any, torch.Tensor]]:
        """Each output of a runtime, with its memory.

        Raises:
            UsageError: it has others than the network.
        """
        if len(places) != len(self.tensors):
            raise UsageError(f"the ONNX model has {len(places)} outputs and the network {len(self.tensors)}")
        return zip(places, self.tensors, strict=True)

    def outputs(self) -> object:
        """As the network gives them, in its structure and dtypes: the memory itself where these are those of the file."""
        if self._whole is not None:
            return self._whole
        converted = (tensor.to(dtype) for tensor, dtype in zip(self.tensors, self._dtypes, strict=True))
        whole: object = tree_unflatten(list(converted), self._form)
        return whole


class Bound:
    """A runtime's session with its input and outputs bound to memory beforehand: a call of it copies nothing.

    Args:
        bind: makes it read an input.
        run: computes once, from the input to the outputs that are bound.
        buffers: those outputs.
        example: the input that is bound first.
    """

    def __init__(
        self,
        bind: Callable[[torch.Tensor], None],
        run: Callable[[], object],
        buffers: Buffers,
        example: Float[torch.Tensor, "B ..."],
    ) -> None:
        self._bind, self._run, self._buffers, self._bound = bind, run, buffers, example
        bind(example)

    def __call__(self, x: Float[torch.Tensor, "B ..."]) -> object:
        """Outputs for `x`: they are overwritten by the next call."""
        if x is not self._bound:
            self._bind(x)
            self._bound = x
        self._run()
        return self._buffers.outputs()
