"""What kind of operation one is: a depthwise convolution, a norm, a copy (`core.roofline.KINDS`)."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from blockzoo.core.roofline import Kind

ACTIVATIONS = frozenset(
    """
    relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardtanh hardswish hardsigmoid softplus softsign prelu
    _prelu_kernel log_sigmoid_forward threshold glu rrelu_with_noise _softmax _log_softmax _safe_softmax _masked_softmax clamp
    clamp_min clamp_max hardshrink softshrink logit
    """.split()
)
COPIES = frozenset(
    """
    cat stack _stack clone copy _to_copy contiguous gather index index_select index_put _index_put_impl _unsafe_index take put
    scatter slice_scatter select_scatter flip roll rot90 repeat repeat_interleave constant_pad_nd reflection_pad1d
    reflection_pad2d replication_pad2d pixel_shuffle pixel_unshuffle channel_shuffle im2col col2im embedding where masked_fill
    tril triu diag_embed block_diag fill zero zeros ones full arange linspace zeros_like ones_like full_like new_zeros new_ones
    new_full scalar_tensor eye
    """.split()
)
REDUCTIONS = frozenset(
    "mean sum amax amin max min var std var_mean std_mean argmax argmin logsumexp cumsum prod norm linalg_vector_norm".split()
)
INTERPOLATION = ("upsample_", "_upsample_", "grid_sampler")


def kind_of(func: object, args: tuple[Any, ...], *, has_macs: bool, view: bool) -> Kind:
    """The kind of an operation.

    Args:
        func: an overload of torch's.
        args: that it is called with.
        has_macs: whether multiply-adds were counted of it.
        view: whether it gives back what it was given and computes nothing.
    """
    if view:
        return "views"
    packet = getattr(func, "_overloadpacket", func)
    name = str(getattr(packet, "__name__", packet)).rstrip("_")
    if "convolution" in name or "conv" in name.split("_"):
        return _convolution(func, args)
    if "scaled_dot_product" in name or "multi_head_attention" in name:
        return "attention"
    if has_macs:
        return "matrix products"
    if name in ACTIVATIONS:
        return "activations"
    if "pool" in name:
        return "pooling"
    if name in REDUCTIONS:
        return "reductions"
    if name.startswith(INTERPOLATION):
        return "interpolation"
    if "norm" in name:
        return "norms"
    if name in COPIES or name.endswith("_copy"):
        return "copies"
    return "pointwise operations" if torch.Tag.pointwise in getattr(func, "tags", ()) else "other operations"


def _convolution(func: Any, args: Any) -> Kind:
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    names = [argument.name for argument in getattr(getattr(func, "_schema", None), "arguments", ())]
    if len(tensors) < 2 or "groups" not in names or names.index("groups") >= len(args):
        return "dense convolutions"
    groups, (x, weight) = args[names.index("groups")], tensors[:2]
    if groups > 1:
        return "depthwise convolutions" if groups == x.shape[1] else "grouped convolutions"
    return "1x1 convolutions" if prod(weight.shape[2:]) == 1 else "dense convolutions"
