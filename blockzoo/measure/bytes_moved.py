"""Bytes that an operation reads and writes: of each tensor that it is given or makes, once.

It is the traffic of a perfect cache inside one operation and none between two. What a kernel reads again, a workspace and the
rest of a cache line are not in it. A view moves nothing, nor does memory that is asked for and not filled.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils._pytree import tree_leaves

from blockzoo.measure.outside import ALLOCATE, storages

if TYPE_CHECKING:
    from jaxtyping import Shaped

SELECTING = frozenset("embedding index index_select gather take _unsafe_index masked_select".split())
"""Read of their first tensor as much as they give back."""
PLACING = frozenset("index_put_ _index_put_impl_ index_copy_ scatter_ put_".split())
"""Write to their first tensor as much as they are given to place, and read nothing of it."""
SHAPE_ALONE = ("_like", "new_")
"""In the names of operations that do not read the values they are given."""
FILLING = frozenset(
    """
    copy_ fill_ zero_ normal_ uniform_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_ random_
    """.split()
)
"""Write to their first tensor without a look at it."""


class Traffic(NamedTuple):
    """Bytes of one operation.

    Args:
        read: of what it is given.
        written: of what it makes, or writes to.
        view: whether it makes nothing new of tensors and writes to none.
        known: False where a tensor is sparse or nested, whose bytes are not told by its shape.
    """

    read: int
    written: int
    view: bool = False
    known: bool = True


def traffic(func: object, args: tuple[Any, ...], kwargs: dict[str, Any], out: object) -> Traffic:
    """Bytes of an operation that ran.

    Examples:
        A ReLU in place reads and writes 6 numbers of 4 bytes; a transposition moves nothing.

        >>> x = torch.ones(2, 3)
        >>> traffic(torch.ops.aten.relu_.default, (x,), {}, x)[:3]
        (24, 24, False)
        >>> traffic(torch.ops.aten.t.default, (x,), {}, x.t())[:3]
        (0, 0, True)
    """
    name = str(getattr(getattr(func, "_overloadpacket", func), "__name__", func))
    inputs, outputs = _tensors((args, kwargs)), _tensors(out)
    if not all(tensor.layout == torch.strided and not tensor.is_nested for tensor in (*inputs, *outputs)):
        return Traffic(0, 0, known=False)
    before = storages(inputs)
    to_write = _written_to(func, args, kwargs)
    new = [tensor for tensor in outputs if not storages(tensor) <= before]
    if name in ALLOCATE or (outputs and not new and not to_write):
        return Traffic(0, 0, view=True)
    blind = to_write if name in FILLING | PLACING else _outputs_given(func, kwargs)
    to_read = [tensor for tensor in inputs if not any(tensor is other for other in blind)]
    if any(part in name for part in SHAPE_ALONE):
        to_read = []
    read, written = _sizes(to_read), _sizes((*new, *to_write))
    if name in SELECTING and to_read:
        read += min(size(to_read[0]), _sizes(new)) - size(to_read[0])
    if name in PLACING and to_read:
        written = size(to_read[-1])
    return Traffic(read, written)


def size(tensor: Shaped[torch.Tensor, ...]) -> int:
    """Bytes of the different numbers of a tensor: along a side that is expanded there is one.

    Examples:
        >>> size(torch.ones(1, 3, 1).expand(5, 3, 7))
        12
    """
    sides = (n for n, step in zip(tensor.shape, tensor.stride(), strict=True) if step or not n)
    return prod(sides) * tensor.element_size()


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _sizes(tensors: Any) -> int:
    """Of all of them, one that is there twice once."""
    places = {
        (t.untyped_storage()._cdata, t.storage_offset(), t.shape, t.stride(), t.dtype): size(t)
        for t in tensors
    }
    return sum(places.values())


def _written_to(func: Any, args: Any, kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The arguments that its schema says it writes to."""
    schema = getattr(func, "_schema", None)
    values = [
        args[place] if place < len(args) else kwargs.get(argument.name)
        for place, argument in enumerate(schema.arguments if schema is not None else ())
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return [tensor for tensor in _tensors(values) if tensor.numel()]


def _outputs_given(func: Any, kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """Tensors given for results, as `out=`, which are not read."""
    schema = getattr(func, "_schema", None)
    return [
        tensor
        for argument in (schema.arguments if schema is not None else ())
        if argument.kwarg_only and argument.alias_info is not None and argument.alias_info.is_write
        for tensor in _tensors(kwargs.get(argument.name))
    ]
