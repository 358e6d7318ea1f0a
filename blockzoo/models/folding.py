"""Batch norms folded into the convolutions before them, where the network's graph proves that nobody can tell.

A pair is safe if the graph, not a class or a name, shows all of this: the norm uses its running statistics on a convolution's
output and nothing else reads that output, nor the weights and statistics of the two; each runs once; no hook sees what lies
between. What is not proved is left as it is: right, and slower.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import UsageError
from blockzoo.models.agreement import Claim, compare, probes, random_statistics
from blockzoo.models.copying import duplicate
from blockzoo.models.tracing import ModuleCall, Trace, trace

aten = torch.ops.aten
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Paths of a convolution and of the batch norm that alone reads it, and the epsilon that the graph adds to its variances."""

    convolution: str
    norm: str
    eps: float = 1e-5


def safe_pairs(module: nn.Module, *inputs: torch.Tensor, batch_sizes: Collection[int] = ()) -> list[Pair]:
    """The pairs that can be folded, of a module in evaluation mode; none where it cannot be traced.

    Args:
        module: the network; it stays as it is.
        inputs: of the network; their number of images, and one image, are what the pairs are proved for.
        batch_sizes: other numbers of images, for which the graph may be another one.
    """
    if not any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        return []
    tried = duplicate(module)
    for layer in tried.modules():  # a bias shows in the graph whether the layer's forward pass adds it
        if isinstance(layer, nn.Conv2d) and layer.bias is None and "bias" in layer._parameters:
            layer.bias = nn.Parameter(layer.weight.new_zeros(layer.out_channels), requires_grad=False)
    pairs: list[Pair] | None = None
    for batch in _batches(inputs, batch_sizes):
        try:
            safe = _Pairs(trace(tried, batch), tried).safe()
        except UsageError as error:
            log.debug(f"batch norms are left as they are: {error}")
            return []
        pairs = safe if pairs is None else [pair for pair in pairs if pair in safe]
    return pairs or []


def _batches(
    inputs: Sequence[torch.Tensor], batch_sizes: Collection[int]
) -> Iterator[Sequence[torch.Tensor]]:
    """The inputs, and zeros like them of as many images as they are used or checked with; inputs that are no images stay."""
    yield inputs
    if all(x.ndim == 4 for x in inputs):
        for number in {1, *batch_sizes} - {len(inputs[0])}:
            yield [x.new_zeros(number, *x.shape[1:]) for x in inputs]


def fold(module: nn.Module, pairs: list[Pair]) -> nn.Module:
    """`module`, changed: each norm folded, and what it does besides (an activation) left in its place."""
    for pair in pairs:
        convolution: Any = module.get_submodule(pair.convolution)
        norm: Any = module.get_submodule(pair.norm)
        with torch.no_grad():
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                pair.eps,
                norm.weight,
                norm.bias,
            )
        # the object itself, whoever holds it and under whatever name
        norm.__class__ = nn.Sequential
        norm._parameters.clear()
        norm._buffers.clear()
    return module


@CHECKS.register("folded-norms")
def check_folded(module: nn.Module, folded: nn.Module, pairs: list[Pair], *inputs: torch.Tensor) -> float:
    """A network whose batch norms are folded into its convolutions against itself: as it is, and both again with norms of random
    statistics, on which a wrong fold shows.

    Catches: a norm folded though its convolution is read elsewhere, folded twice, or of another axis; an activation of the
    norm left out.

    Tolerance: 1e-4 of the largest output; 1e-3 with random statistics, on which deep networks round more, or 30 times what the
    network itself moves by when its input is off by rounding, up to 0.1. Large inputs on which that is more show nothing.

    Cost: five passes of the network on one image, and its copies; ResNet-18 at 224, 0.45 s of one core (AMD EPYC).
    Nothing where no norm is folded.
    """
    if not pairs:
        return 0.0
    example, *others = (x[:1] if x.ndim == 4 else x for x in inputs)
    named = ", ".join(pair.norm for pair in pairs[:3]) + (f" and {len(pairs) - 3} more" if pairs[3:] else "")
    what = f"{type(module).__name__}, folding {named}"
    drawn = random_statistics(module).eval()
    again = fold(duplicate(drawn), pairs)
    with torch.random.fork_rng(devices=[]):
        seen = probes(example, special=False)
        worst = compare(
            Claim("folded-norms", what, 1e-3),
            lambda x: drawn(x, *others),
            lambda x: again(x, *others),
            seen,
            unsure=range(1, len(seen)),
        )
        return max(
            worst,
            compare(
                Claim("folded-norms", what, 1e-4),
                lambda x: module(x, *others),
                lambda x: folded(x, *others),
                seen[:1],
            ),
        )


class _Pairs:
    """Reads a trace."""

    def __init__(self, traced: Trace, module: nn.Module) -> None:
        self._traced, self._module = traced, module
        self._readers: Counter[str] = Counter()
        for node in traced.graph.nodes:
            if node.op == "get_attr" and isinstance(path := traced.attributes[node.name], str):
                self._readers[path] += len(node.users)
        self._calls: dict[str, list[ModuleCall]] = {}
        for call in traced.calls:
            self._calls.setdefault(call.path, []).append(call)
        self._hooked = {path for path, layer in module.named_modules() if _has_hooks(layer)}

    def safe(self) -> list[Pair]:
        return [
            Pair(node.args[0].meta["module"], node.meta["module"], node.args[7])
            for node in self._traced.graph.nodes
            if node.target is aten.batch_norm.default and self._is_safe(node)
        ]

    def _is_safe(self, norm: fx.Node) -> bool:
        convolution, weight, bias, mean, variance, training, *_ = norm.args
        assert isinstance(convolution, fx.Node)
        if convolution.target is not aten.conv2d.default or len(convolution.users) > 1 or training:
            return False
        first, second = convolution.meta.get("module"), norm.meta.get("module")
        if first is None or second is None or not isinstance(self._module.get_submodule(first), nn.Conv2d):
            return False
        return (
            self._own(convolution.args[1], f"{first}.weight")
            and self._own(convolution.args[2], f"{first}.bias")
            and self._own(mean, f"{second}.running_mean")
            and self._own(variance, f"{second}.running_var")
            and (weight is None or self._own(weight, f"{second}.weight"))
            and (bias is None or self._own(bias, f"{second}.bias"))
            and len(self._calls[first]) == len(self._calls[second]) == 1
            and self._is_norm_and_children(norm, self._calls[second][0])
            and not self._seen_between(convolution, norm)
        )

    def _own(self, node: object, path: str) -> bool:
        """Is it the parameter or buffer of this path, and read there alone?"""
        return (
            isinstance(node, fx.Node)
            and self._traced.attributes.get(node.name) == path.lstrip(".")
            and self._readers[path.lstrip(".")] == 1
        )

    def _is_norm_and_children(self, norm: fx.Node, call: ModuleCall) -> bool:
        """Does the module do the norm, then its children one after the other, and nothing else?"""
        layer, last = self._module.get_submodule(call.path), norm
        done: set[fx.Node] = {norm}
        for name, _ in layer.named_children():
            calls = self._calls.get(f"{call.path}.{name}".lstrip("."), [])
            if len(calls) != 1:
                return False
            nodes = [node for node in calls[0].nodes if node.op == "call_function"]
            reads = {source for node in nodes for source in node.all_input_nodes if source.op != "get_attr"}
            if reads - {*nodes} - {last}:
                return False
            done.update(nodes)
            last = calls[0].output if nodes and calls[0].output is not None else last
        return call.output is last and done >= {n for n in call.nodes if n.op == "call_function"}

    def _seen_between(self, convolution: fx.Node, norm: fx.Node) -> bool:
        """Does a hook see the convolution's output: of a module that holds one of the two alone?"""
        return any(
            call.path in self._hooked and (convolution in call.nodes) != (norm in call.nodes)
            for calls in self._calls.values()
            for call in calls
        )


def _has_hooks(layer: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(layer, kind, None) for kind in kinds)
