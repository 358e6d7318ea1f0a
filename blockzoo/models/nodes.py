"""What the tracer does not see by itself: nodes behind tensors, `.data`, `.tolist()`, layers that are handed over whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, get_proxy_mode, get_proxy_slot

from blockzoo.models.data import Data

aten = torch.ops.aten
_operations = torch.library.Library("blockzoo", "FRAGMENT")
_operations.define("whole_layer(Tensor x, int number, int[] shape) -> Tensor")
whole_layer = torch.ops.blockzoo.whole_layer.default
"""Stands for a layer that was handed over whole; it is not run, see `Trace.layers`."""


@torch.library.register_fake("blockzoo::whole_layer", lib=_operations)  # type: ignore[untyped-decorator]
def _(x: torch.Tensor, number: int, shape: list[int]) -> torch.Tensor:
    return x.new_empty(shape)


def last_node() -> fx.Node:
    """The operation that was recorded last."""
    mode = get_proxy_mode()
    assert mode is not None
    return mode.tracer.graph._root.prev


def node_of(output: object) -> fx.Node | None:
    """Of a tensor that an operation made."""
    mode = get_proxy_mode()
    if not isinstance(output, torch.Tensor) or mode is None:
        return None
    slot: Any = get_proxy_slot(output, mode.tracer, None)
    return None if slot is None else slot.proxy.node


def changes(node: fx.Node) -> bool:
    overload: Any = node.target
    return (
        hasattr(overload, "_schema") and overload._schema.is_mutable and overload is not aten.detach_.default
    )


class PastTheTracer(Data):
    """`.data`, and `.tolist()`, which goes past the tracer too: of constants alone."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.Tensor.tolist:
            return _listed(args[0])
        return super().__torch_function__(func, types, args, kwargs)


def _listed(x: torch.Tensor) -> Any:
    """A tensor's numbers as lists; of one that follows from the input there are none."""
    node = node_of(x)
    if isinstance(x, FakeTensor) or (node is not None and follows_from_inputs(node)):
        raise DataDependentOutputException(aten._local_scalar_dense.default)
    with disable_proxy_modes_tracing():
        return x.tolist()


def follows_from_inputs(node: fx.Node) -> bool:
    seen = dict.fromkeys([node])
    for one in (order := list(seen)):
        if one.op == "placeholder" or one.target is whole_layer or changes(one):
            return True
        order += [source for source in one.all_input_nodes if source not in seen]
        seen |= dict.fromkeys(one.all_input_nodes)
    return False
