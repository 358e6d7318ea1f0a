"""Where a file differs from its network: which operation torch's exporter, or ONNX Runtime, does in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from blockzoo.core.errors import BlockzooError
from blockzoo.models.agreement import OF_PYTORCH, deviation, tensors
from blockzoo.models.copying import duplicate
from blockzoo.models.tracing import trace
from blockzoo.models.views import name_of
from blockzoo.tiling.onnx.session import every_output

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
ARITHMETIC = frozenset(
    "conv1d conv2d conv3d conv_transpose2d convolution linear addmm mm bmm matmul add sub mul div neg batch_norm cat stack view "
    "reshape flatten unflatten permute transpose t slice select narrow expand squeeze unsqueeze chunk split unbind clone "
    "contiguous alias detach dropout to copy".split()
)
"""Operations that move, add and multiply, which is the same everywhere, infinities and NaN included."""
_known: dict[str, bool] = {}
"""Of operations that were tried alone, whether they differ on NaN or infinities."""
MOST = 60
"""Operations that are tried, each with other shapes or settings than those before it; one takes half a second."""
Export = Callable[[nn.Module, Sequence[torch.Tensor]], "ModelProto"]


class _Alone(nn.Module):
    """One operation as a network of the tensors that it reads."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        self.node, self.read = node, node.all_input_nodes

    def forward(self, *given: torch.Tensor) -> Any:
        values = dict(zip(self.read, given, strict=True))
        args, kwargs = fx.map_arg((self.node.args, self.node.kwargs), values.__getitem__)
        operation: Any = self.node.target
        return operation(*args, **kwargs)


@dataclass(frozen=True)
class _Step:
    """An operation of a network as it runs on an example.

    Args:
        node: of the trace.
        alone: the operation as a network.
        read: what it reads.
        of_image: which of these follow from the network's inputs.
        made: what it makes.
    """

    node: fx.Node
    alone: _Alone
    read: list[Any]
    of_image: list[bool]
    made: Any

    @property
    def settings(self) -> str:
        """What it is, apart from the tensors that it reads."""
        return (
            f"{self.node.target} {fx.map_arg((self.node.args, dict(self.node.kwargs)), lambda source: None)}"
        )


def _steps(model: nn.Module, given: Sequence[torch.Tensor]) -> Iterator[_Step]:
    """The operations of a network that read and make tensors, one after the other; none where it cannot be traced."""
    network = duplicate(model).eval()
    try:
        traced = trace(network, given)
        state = {node: traced.value(node, network) for node in traced.graph.find_nodes(op="get_attr")}
    except BlockzooError:
        return
    inputs = traced.graph.find_nodes(op="placeholder")
    values: dict[fx.Node, Any] = dict(zip(inputs, given, strict=True))
    values |= state
    followers = {*inputs}
    for node in traced.graph.nodes:
        if node.op != "call_function":
            continue
        alone = _Alone(node)
        read = [tree_map_only(torch.Tensor, torch.clone, values[source]) for source in alone.read]
        values[node] = alone(*(values[source] for source in alone.read))
        of_image = [source in followers for source in alone.read]
        followers |= {node} if any(of_image) else set()
        if all(isinstance(t, torch.Tensor) for t in read) and node.target is not getattr:
            yield _Step(node, alone, read, of_image, values[node])


@torch.no_grad()
def operation_at_fault(model: nn.Module, given: Sequence[torch.Tensor], export: Export) -> str:
    """The first operation of a network that, exported alone, gives something else than in PyTorch, and its layer.

    "" where none of those that were tried does.
    """
    tried: set[str] = set()
    for step in _steps(model, given):
        key = f"{step.settings} {[tuple(t.shape) for t in step.read]}"
        if not isinstance(step.made, torch.Tensor) or key in tried or len(tried) == MOST:
            continue
        tried.add(key)
        try:
            (exported,) = next(every_output(export(step.alone, step.read), [[t.numpy() for t in step.read]]))
        except Exception:
            continue
        if not deviation(step.alone(*map(torch.clone, step.read)), torch.from_numpy(exported)) <= TOLERANCE:
            node = step.node
            layer = node.meta.get("module", "")
            options = [value for value in node.args if value is not None and not isinstance(value, fx.Node)]
            return f"{node.target} of {', '.join(map(str, options))}{f' in {layer}' if layer else ''}"
    return ""


@torch.no_grad()
def operations_on_special(model: nn.Module, given: Sequence[torch.Tensor], export: Export) -> list[str]:
    """The operations of a network that, exported alone, make something else of NaN or infinities than in PyTorch, by name.

    Each kind is tried once in a process, with the shapes and settings of its first use; what moves, adds or multiplies is not.
    """
    names: dict[str, None] = {}
    tried: set[str] = set()
    for step in _as_far_as_it_goes(_steps(model, given)):
        name, key = name_of(step.node.target).rstrip("_"), step.settings
        if name in ARITHMETIC or not any(step.of_image) or key in tried or len(tried) == MOST:
            continue
        tried.add(key)
        if key not in _known:
            try:
                _known[key] = _differs_on_special(step, export)
            except Exception:
                continue
        if _known[key]:
            names[name] = None
    return [*names]


def _as_far_as_it_goes(steps: Iterator[_Step]) -> Iterator[_Step]:
    """The steps up to one that does not run alone: names are wanted, and nothing fails for the lack of one."""
    with suppress(Exception):
        yield from steps


def _differs_on_special(step: _Step, export: Export) -> bool:
    model = export(step.alone, step.read)
    for values in ([float("nan")], [float("inf"), float("-inf")]):
        read = [
            _with(x, values) if x.is_floating_point() and of_image else x
            for x, of_image in zip(step.read, step.of_image, strict=True)
        ]
        (got,) = every_output(model, [[x.numpy() for x in read]])
        wanted = [tensor for _, tensor in tensors(step.alone(*map(torch.clone, read)))]
        if not deviation(wanted, [*map(torch.from_numpy, got)]) <= TOLERANCE:
            return True
    return False


def _with(x: torch.Tensor, values: list[float]) -> torch.Tensor:
    """A tensor with other values at places that lie apart."""
    changed = x.clone().flatten()
    places = torch.linspace(changed.numel() // 3, changed.numel() - 1, len(values)).long()
    changed[places] = torch.tensor(values).to(x)
    return changed.view(x.shape)


def state_that_changes(model: nn.Module, given: Sequence[torch.Tensor]) -> str:
    """The parameters and buffers that a network changes when it runs, which its file cannot; "" for none."""
    network = duplicate(model).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        network(*(x.clone() for x in given))
    after = network.state_dict()
    return ", ".join(name for name, value in before.items() if not torch.equal(value, after[name]))


def foreign_operation(model: nn.Module, given: Sequence[torch.Tensor]) -> str:
    """A custom operation of a network, as it runs on these inputs; "" where there is none."""
    seen: list[str] = []

    class Seeing(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.namespace not in OF_PYTORCH:
                seen.append(func.name().partition(".")[0])
            return func(*args, **(kwargs or {}))

    try:
        with torch.no_grad(), Seeing():
            duplicate(model).eval()(*(x.clone() for x in given))
    except Exception:  # of a network that runs, unless it is watched
        return "an operation that cannot be watched"
    return seen[0] if seen else ""
