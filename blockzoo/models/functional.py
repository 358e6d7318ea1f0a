"""A traced network without writes: what PyTorch does in place, through whatever view or name, as operations that make new values.

Every tensor of the graph is known by the storage that it lies in: values that share one are views of each other, or other
names. A write makes a new value of the view and carries it back to the tensor that was viewed; what reads any of them later
reads it anew. What is returned is what the tensors hold at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from blockzoo.core.errors import UsageError
from blockzoo.models.operands import check_dense
from blockzoo.models.tracing import Trace
from blockzoo.models.views import PIECES, Back, back_from, name_of, options, piece_of

aten = torch.ops.aten


def without_writes(traced: Trace, module: nn.Module) -> Trace:
    """The same network; every operation makes a new value and changes none. What it returns is the same; what it writes to its
    input shows in its outputs, not to the caller.

    Args:
        traced: of `module`; it stays as it is.
        module: the network that was traced; it has the values of parameters and buffers.

    Raises:
        UsageError: the network changes its own parameters or buffers, or writes in a way that is not known: the message
            names the operation and its module.
    """
    _see_values(traced, module)
    return _Rewriter(traced, module).rewritten()


@dataclass(eq=False)
class _Storage:
    """What tensors lie in: the name of the parameter or buffer that it is ("" for none), and how often it was written to."""

    state: str = ""
    writes: int = 0


@dataclass(eq=False)
class _Tensor:
    """A tensor of the network.

    Args:
        storage: that it lies in.
        value: what it holds, a node of the new graph.
        known: how many writes to the storage `value` has seen.
        whole: the tensor that it is a view of; None: of none.
        shown: makes the view of the whole's value.
        back: how the whole follows a write to the view; None: not known.
    """

    storage: _Storage
    value: fx.Node | None = None
    known: int = 0
    whole: _Tensor | None = None
    shown: Callable[[fx.Node], fx.Node] | None = None
    back: Back | None = None


class _Rewriter:
    """Copies a graph, operation by operation."""

    def __init__(self, traced: Trace, module: nn.Module) -> None:
        self._traced, self._name = traced, type(module).__name__
        self._graph = fx.Graph()
        self._tensors: dict[fx.Node, Any] = {}
        self._node: fx.Node = traced.graph._root
        targets: list[Any] = [node.target for node in traced.graph.nodes]
        self._inputs: set[_Storage] = set()
        self._writes_inputs = False
        self._writes = any(hasattr(target, "_schema") and target._schema.is_mutable for target in targets)

    def rewritten(self) -> Trace:
        attributes: dict[str, str | object] = {}
        for node in self._traced.graph.nodes:
            self._node = node
            if node.op == "output":
                self._graph.output([self._now(self._tensors[leaf]) for leaf in node.args[0]])
            elif node.op == "get_attr":
                copy, path = self._graph.node_copy(node), self._traced.attributes[node.name]
                attributes[copy.name] = path
                self._tensors[node] = _Tensor(_Storage(path if isinstance(path, str) else "a constant"), copy)
            elif node.op == "placeholder":
                placeholder = _Tensor(_Storage(), self._graph.node_copy(node))
                self._inputs.add(placeholder.storage)
                self._tensors[node] = placeholder
            else:
                self._tensors[node] = entry = self._made(node)
                seen = node.meta.get("val")
                if isinstance(entry, _Tensor) and entry.value is not None and isinstance(seen, torch.Tensor):
                    entry.value.meta.setdefault("val", seen)
        self._graph.eliminate_dead_code()
        left = {node.name for node in self._graph.nodes}
        attributes = {name: value for name, value in attributes.items() if name in left}
        traced = self._traced
        return Trace(
            self._graph, attributes, traced.structure, [], traced.inputs, traced.layers, self._writes_inputs
        )

    def _made(self, node: fx.Node) -> Any:
        """The tensor, or the list of tensors, that an operation makes, changes or shows."""
        target: Any = node.target
        if not isinstance(target, torch._ops.OpOverload):  # getitem, of a list
            pieces: Any = self._tensors[node.args[0]]  # type: ignore[index]
            number: Any = node.args[1]
            return pieces[number] if isinstance(pieces, list) else self._fresh(node)
        if target._schema.is_mutable:
            return self._written(node, target)
        self._refuse_statistics(node)
        whole = _viewed(node)
        seen: Any = node.meta.get("val")
        if whole is None:
            return self._fresh(node)
        if isinstance(seen, torch.Tensor):
            return self._view(whole, target, node.args, node.kwargs, seen)
        if name_of(target) not in PIECES:
            if self._writes:
                self._refuse("makes several views of a tensor in a way that is not known")
            return self._fresh(node)
        shown, pieces = (whole.meta["val"], *node.args[1:]), []
        for number, part in enumerate(seen):
            piece, rest = piece_of(target, shown, node.kwargs, seen, number)
            pieces.append(self._view(whole, piece, (whole, *rest), {}, part))
        return pieces

    def _fresh(self, node: fx.Node) -> _Tensor:
        args, kwargs = self._read((node.args, node.kwargs))
        return _Tensor(_Storage(), self._operation(node.target, args, kwargs))

    def _view(self, whole: fx.Node, target: Any, args: Any, kwargs: Any, seen: torch.Tensor) -> _Tensor:
        """A view of a tensor, or the tensor itself where the two are one."""
        tensor: _Tensor = self._tensors[whole]
        shown = whole.meta["val"]
        if _same_view(seen, shown):
            return tensor
        back = (
            back_from(target, (shown, *args[1:]), kwargs, shown, seen) if args and args[0] is whole else None
        )

        def make(value: fx.Node) -> fx.Node:
            here = fx.map_arg((args, kwargs), lambda n: value if n is whole else self._now(self._tensors[n]))
            return self._operation(target, *here)

        view = _Tensor(tensor.storage, None, -1, tensor, make, back)
        self._now(view)
        return view

    def _now(self, tensor: _Tensor) -> fx.Node:
        """What a tensor holds after all writes so far."""
        if tensor.value is None or (tensor.whole is not None and tensor.known < tensor.storage.writes):
            assert tensor.whole is not None and tensor.shown is not None
            tensor.value, tensor.known = tensor.shown(self._now(tensor.whole)), tensor.storage.writes
        return tensor.value

    def _read(self, part: Any) -> Any:
        """Arguments of the old graph as arguments of the new one."""
        return fx.map_arg(part, lambda node: self._now(self._tensors[node]))

    def _operation(self, target: Any, args: Any, kwargs: Any = None) -> fx.Node:
        name = name_of(target) or None
        node = self._graph.create_node("call_function", target, tuple(args), dict(kwargs or {}), name)
        node.meta = {key: value for key, value in self._node.meta.items() if key == "module"}
        return node

    def _written(self, node: fx.Node, target: torch._ops.OpOverload) -> Any:
        """The tensor after a write: the same tensor, holding something else."""
        arguments = options(target, node.args, node.kwargs)
        places = [a.name for a in target._schema.arguments if a.alias_info and a.alias_info.is_write]
        written = [arguments[name] for name in places]
        if torch.Tag.inplace_view in target.tags:
            return self._seen_otherwise(node, target)
        if len(written) != 1 or not isinstance(written[0], fx.Node):
            self._refuse("writes to several tensors at once")
        tensor: _Tensor = self._tensors[written[0]]
        if tensor.storage.state:
            self._refuse(f"changes {tensor.storage.state}, which stays from one image to the next")
        was, seen = written[0].meta["val"], node.meta["val"]
        if tuple(was.shape) != tuple(seen.shape):
            self._refuse("writes a tensor of another shape than there was")
        if name_of(target) == "copy_":
            value, like = self._read(arguments["src"]), arguments["src"].meta["val"]
            if {*_storages(like)} == {*_storages(was)} and _same_view(like, was):  # what is there already
                return tensor
        else:
            value, like = self._without_writing(node, target)
        self._write(tensor, self._fitted(value, like, was))
        return tensor

    def _without_writing(self, node: fx.Node, target: torch._ops.OpOverload) -> tuple[fx.Node, torch.Tensor]:
        """The value that an operation writes, and what it looks like: made by the form of the operation that does not write."""
        for overload in _forms(target):
            outs = {a.name for a in target._schema.arguments if a.is_out}
            kwargs = {key: value for key, value in node.kwargs.items() if key not in outs}
            seen, options = fx.map_arg((node.args, kwargs), lambda n: n.meta["val"])
            with contextlib.suppress(Exception), torch.no_grad():
                like = overload(*seen, **options)
                return self._operation(overload, *self._read((node.args, kwargs))), like
        self._refuse("writes in place, and has no form that does not")
        raise AssertionError

    def _fitted(self, value: fx.Node, like: torch.Tensor, tensor: torch.Tensor) -> fx.Node:
        """A value in the type and shape of the tensor that it is written to, and in the signs that it shows."""
        if like.is_conj() or like.is_neg():
            value = self._operation(
                aten.resolve_neg.default, (self._operation(aten.resolve_conj.default, (value,)),)
            )
        if like.dtype != tensor.dtype:
            value = self._operation(aten.to.dtype, (value, tensor.dtype))
        if tuple(like.shape) != tuple(tensor.shape):
            value = self._operation(aten.expand.default, (value, list(tensor.shape)))
        return value

    def _write(self, tensor: _Tensor, value: fx.Node) -> None:
        """A tensor, and all that it is a view of, hold something else from here on."""
        chain: list[tuple[_Tensor, fx.Node]] = [(tensor, value)]
        while tensor.whole is not None:
            if tensor.back is None:
                self._refuse("writes through a view of a kind that is not known")
            assert tensor.back is not None
            value = tensor.back(self._operation, self._now(tensor.whole), value)
            tensor = tensor.whole
            chain.append((tensor, value))
        tensor.storage.writes += 1
        self._writes_inputs |= tensor.storage in self._inputs
        for changed, held in chain:
            changed.value, changed.known = held, tensor.storage.writes

    def _seen_otherwise(self, node: fx.Node, target: torch._ops.OpOverload) -> _Tensor:
        """`unsqueeze_` and the like: the tensor in another shape, from here on under the new node."""
        overload, source = next(_forms(target), None), node.args[0]
        if overload is None or not isinstance(source, fx.Node):
            self._refuse("changes the shape of a tensor in place")
        assert overload is not None and isinstance(source, fx.Node)
        return self._view(source, overload, node.args, node.kwargs, node.meta["val"])

    def _refuse_statistics(self, node: fx.Node) -> None:
        """Batch norms in training mode keep the batch's statistics without saying so."""
        if name_of(node.target) == "batch_norm" and node.args[5] and isinstance(node.args[3], fx.Node):
            self._refuse("keeps the statistics of what it is given: set it to evaluation mode")

    def _refuse(self, why: str) -> None:
        where = self._node.meta.get("module")
        name = name_of(self._node.target) or str(self._node.target)
        raise UsageError(
            f"{self._name} cannot be run in tiles or merged: {name}{f' in {where}' if where else ''} {why}; "
            "write that part without changing tensors in place"
        )


def _forms(target: torch._ops.OpOverload) -> Iterator[torch._ops.OpOverload]:
    """Of an operation that writes, those that do not, with arguments of the same types."""
    packet = getattr(aten, name_of(target).rstrip("_"), None)
    wanted = [str(a.type) for a in target._schema.arguments if not a.is_out]
    for name in packet.overloads() if packet is not None else ():
        overload = getattr(packet, name)
        if not overload._schema.is_mutable and [str(a.type) for a in overload._schema.arguments] == wanted:
            yield overload


def _viewed(node: fx.Node) -> fx.Node | None:
    """The operand in whose storage the result lies."""
    mine = {*_storages(node.meta.get("val"))}
    sources = node.all_input_nodes
    return next((source for source in sources if mine & {*_storages(source.meta.get("val"))}), None)


def _storages(value: Any) -> Iterator[int]:
    if isinstance(value, torch.Tensor):
        yield value.untyped_storage()._cdata
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _storages(part)


def _same_view(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Do both show the same elements, in the same way? Strides along sides of one element say nothing."""
    strides = [tuple(s for s, n in zip(t.stride(), t.shape, strict=True) if n > 1) for t in (one, other)]
    return bool(
        one.shape == other.shape
        and one.dtype == other.dtype
        and (one.is_conj(), one.is_neg()) == (other.is_conj(), other.is_neg())
        and one.storage_offset() == other.storage_offset()
        and strides[0] == strides[1]
    )


def _see_values(traced: Trace, module: nn.Module) -> None:
    """Run the trace on tensors without values, so that what lies in one storage shows as such, state included."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    values: dict[fx.Node, Any] = {}
    state: dict[int, torch.Tensor] = {}
    with mode, torch.no_grad():
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                like = node.meta["val"]
                values[node] = torch.empty_strided(
                    like.shape, like.stride(), dtype=like.dtype, device=like.device
                )
            elif node.op == "get_attr":
                real = traced.value(node, module)
                check_dense(node, real, module)
                state.setdefault(id(real), mode.from_tensor(real.detach()))
                values[node] = state[id(real)]
            elif node.op == "call_function":
                args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n])
                with _of_known_size(node, module):
                    values[node] = node.target(*args, **kwargs)
            check_dense(node, values.get(node), module)
            value = values.get(node)  # whose shape later operations may change
            node.meta["val"] = value.detach() if isinstance(value, torch.Tensor) else value


@contextlib.contextmanager
def _of_known_size(node: fx.Node, module: nn.Module) -> Iterator[None]:
    """What makes as many numbers as values say is refused."""
    try:
        yield
    except (DynamicOutputShapeException, DataDependentOutputException) as error:
        raise UsageError(
            f"{type(module).__name__} cannot be run in tiles or merged: how much {name_of(node.target) or node.target} makes "
            "depends on the values of tensors; rewrite that part with shapes that are known"
        ) from error
