"""Multiply-adds of convolutions and matrix products; what nobody knows how to count is named, never left out in silence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import (
    conv_flop_count,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from blockzoo.measure.held import Held
from blockzoo.measure.outside import Conversions, Unwritten, functions_named, handed_over
from blockzoo.measure.uncounted import is_free


class MacCounter(TorchDispatchMode):
    """Counts the multiply-adds of convolutions and matrix products inside its context, in `.macs`.

    It sees every operation that reaches the dispatcher, so functional convolutions count as modules do. The formulas are
    torch's (`torch.utils.flop_counter`, those that users register with it included) and the ones below. Pointwise operations,
    norms, pooling and interpolation have no MACs by convention; any other operation without a formula is in `.uncounted`, as is
    what computes without the dispatcher (`measure/outside.py`).

    Args:
        held: hears of every operation too.
    """

    supports_higher_order_operators = True

    def __init__(self, held: Held | None = None) -> None:
        super().__init__()
        self.held = held
        self.macs = 0
        self.uncounted: set[str] = set()
        self.unwritten = Unwritten(self.uncounted)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = _formula(func)
        name = str(getattr(func, "_overloadpacket", func))
        is_known = formula is not None or is_free(func)
        if not is_known:
            # as under inference_mode, where operations arrive before they are taken apart
            with self:
                taken_apart = _taken_apart(func, args, kwargs)
            if taken_apart is not NotImplemented:
                return taken_apart
            self.uncounted.add(name)
        out = func(*args, **kwargs)
        if formula is not None:
            self.macs += formula(args, kwargs, out) * (COMPLEX if _is_complex(args) else 1)
        self.unwritten.saw(func, args, kwargs, out)
        if self.held:
            self.held.saw(name, args, kwargs, out, multiplies=formula is not None or not is_known)
        return out


class _Functions(TorchFunctionMode):
    """What PyTorch makes of a product before the dispatcher sees it, counted as it is defined.

    A complex convolution is run as three real ones, and has four of a real one's MACs as every complex product has; a product of
    vectors is taken apart into a pointwise product and a sum.
    """

    def __init__(self, counter: MacCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = self._counter.macs
        out = func(*args, **kwargs)
        added = self._counter.macs - before
        if func in CONVOLUTIONS and added and _is_complex((args, kwargs)):
            self._counter.macs = before + added * COMPLEX // 3
        if func in VECTOR_PRODUCTS and not added:
            vectors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)][:2]
            terms = prod(torch.broadcast_shapes(*(vector.shape for vector in vectors)))
            self._counter.macs += terms * (COMPLEX if _is_complex(vectors) else 1)
        return out


COMPLEX = 4
"""Real multiply-adds in a complex one."""
CONVOLUTIONS = frozenset(
    getattr(torch, f"conv{kind}{axes}d") for kind in ("", "_transpose") for axes in (1, 2, 3)
)
VECTOR_PRODUCTS = frozenset((torch.linalg.vecdot,))


def _is_complex(values: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) and leaf.is_complex() for leaf in tree_leaves(values))


Formula = Callable[[Any, dict[str, Any], Any], int]


def _formula(func: Any) -> Formula | None:
    """Ours or torch's; an operation that writes in place has that of the one that does not."""
    packet = getattr(func, "_overloadpacket", func)
    name = str(packet).rstrip("_")
    if name in FORMULAS:
        return FORMULAS[name]
    flops = flop_registry.get(packet) or flop_registry.get(ALIKE.get(name))
    return None if flops is None else lambda args, kwargs, out: flops(*args, **kwargs, out_val=out) // 2


def _taken_apart(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    decompose = getattr(func, "decompose", None)
    return NotImplemented if decompose is None else decompose(*args, **kwargs)


def _convolution_backward(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """torch counts grouped convolutions as if dense: 22 times too much for a depthwise 3x3."""
    gradient, x, weight = args[:3]
    transposed, wanted = args[7], args[10]
    forward = conv_flop_count(x.shape, weight.shape, gradient.shape, transposed=transposed) // 2
    return int(forward * sum(wanted[:2]))  # gradients of input and weight cost one forward pass each


def _attention(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    return int(sdpa_flop_count(args[0].shape, args[1].shape, args[2].shape)) // 2


def _attention_backward(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    gradient, query, key, value = args[:4]
    return int(sdpa_backward_flop_count(gradient.shape, query.shape, key.shape, value.shape)) // 2


def _deformable_convolution(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """The convolution alone: reading between pixels is interpolation, which does not count anywhere."""
    return int(out.numel() * prod(args[1].shape[1:]))


def _packed_convolution(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """oneDNN's, with packed weights, as tiled runners call it: each output channel has its share of the weights."""
    return int(out.numel() * (args[1].numel() // out.shape[1]))


def _matrix(place: int) -> Formula:
    """A matrix, the argument at `place`, with a vector: each of its entries once."""
    return lambda args, kwargs, out: args[place].numel()


def _batches_summed(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    return int(args[1].numel() * args[2].shape[-1])


def _bilinear(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """Of `_trilinear`: the first input with the weight, then with the second: every term once, and its sum once more.

    Each tensor lacks the axes at which it is expanded; the product has all of them, and some are summed.
    """
    shapes = []
    for tensor, axes in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for axis in axes:
            shape.insert(axis, 1)
        shapes.append(shape)
    whole = torch.broadcast_shapes(*shapes)
    summed_first = [axis for axis in args[6] if shapes[2][axis] == 1]
    return int(prod(whole) + prod(n for axis, n in enumerate(whole) if axis not in summed_first))


def _distances(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """Euclidean ones between all pairs of points, by a matrix product or as if. Others are no sums of products."""
    return out.numel() * args[0].shape[-1] if len(args) < 3 or args[2] == 2 else 0


def _affine_grid(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    return int(out.numel() * args[0].shape[-1])


def _bags(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """Rows of a table that are summed with weights; without them there is nothing to multiply."""
    weights = args[6] if len(args) > 6 else kwargs.get("per_sample_weights")
    return 0 if weights is None else int(args[1].numel() * args[0].shape[1])


def _over_time(args: Any, kwargs: dict[str, Any], out: Any) -> int:
    """`conv_tbc`: input (T, B, C), weight (K, C, C')."""
    return int(out.shape[0] * out.shape[1] * args[1].numel())


def _recurrent(weights: Callable[[Any], list[torch.Tensor]]) -> Formula:
    """Each matrix of a recurrent layer is multiplied with a vector at every step of every sequence."""
    return lambda args, kwargs, out: (
        prod(args[0].shape[:-1]) * sum(weight.numel() for weight in weights(args) if weight.ndim == 2)
    )


FORMULAS: dict[str, Formula] = {
    "aten.convolution_backward": _convolution_backward,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten._scaled_dot_product_fused_attention_overrideable": _attention,
    "aten._scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "aten.mv": _matrix(0),
    "aten.addmv": _matrix(1),
    "aten.dot": _matrix(0),
    "aten.vdot": _matrix(0),
    "aten.addbmm": _batches_summed,
    "aten._trilinear": _bilinear,
    "aten._euclidean_dist": _distances,
    "aten._cdist_forward": _distances,
    "aten.affine_grid_generator": _affine_grid,
    "aten.conv_tbc": _over_time,
    "aten._embedding_bag": _bags,
    "aten._embedding_bag_forward_only": _bags,
    "aten.mkldnn_rnn_layer": _recurrent(lambda args: list(args[1:3])),
    "aten._cudnn_rnn": _recurrent(lambda args: list(args[1])),
    "mkldnn._convolution_pointwise": _packed_convolution,
    "torchvision.deform_conv2d": _deformable_convolution,
}
"""What torch's own registry lacks or has wrong, by the name of the operation: MACs from (args, kwargs, output)."""


ALIKE = {
    "aten.addmm": torch.ops.aten.addmm,
    "aten._addmm_activation": torch.ops.aten.addmm,
    "aten.baddbmm": torch.ops.aten.baddbmm,
    "aten._int_mm": torch.ops.aten.mm,
}
"""Operations to which another one's formula of torch applies."""


@contextmanager
def counting(held: Held | None = None) -> Iterator[MacCounter]:
    """Counts what runs inside, without gradients, one operation at a time: kernels that do a whole layer are kept out."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    compiled = "torch._dynamo" in sys.modules  # else nothing is, and loading it takes a second
    try:
        stance = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
        with stance, MacCounter(held) as counter, torch.no_grad():
            uncounted = counter.uncounted
            with (
                _Functions(counter),
                Conversions(uncounted),
                functions_named(counter.unwritten, uncounted),
                handed_over(uncounted),
            ):
                yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def count_macs(module: nn.Module, *inputs: torch.Tensor) -> int:
    """MACs of one inference call. Give the module and its inputs on the meta device to compute nothing."""
    with counting() as counter:
        module(*inputs)
    return counter.macs
