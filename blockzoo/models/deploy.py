"""The form a network is deployed in: branches merged, batch normalisation folded into convolutions."""

from __future__ import annotations

import copy

import torch
from timm.utils import reparameterize_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def merge_branches(module: nn.Module, *, inplace: bool = False) -> nn.Module:
    """`module`, or a copy of it, with reparameterisable blocks as one convolution each, in eval mode.

    timm's walk never visits the root, so the root is wrapped. A module on the meta device stays there.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    wrapped = nn.Sequential(module if inplace else copy.deepcopy(module))
    with torch.device(device):
        return reparameterize_model(wrapped, inplace=True)[0].eval()


def has_branches(module: nn.Module) -> bool:
    """Is there anything to merge?"""
    return any(
        hasattr(m, name) for m in module.modules() for name in ("fuse", "reparameterize", "switch_to_deploy")
    )


def fold_batch_norm(module: nn.Module, example: torch.Tensor, *, inplace: bool = False) -> nn.Module:
    """`module`, or a copy of it, with every batch norm that directly follows a convolution folded into it.

    The pairs are observed, not guessed: one forward pass shows whose output each batch norm reads, which works
    where symbolic tracing does not. A pair is folded if both run once and nothing else reads the
    convolution's output as a module input.
    """
    module = (module if inplace else copy.deepcopy(module)).eval()
    names = {layer: name for name, layer in module.named_modules()}
    for convolution, norm in _pairs(module, example):
        _fold(convolution, norm)
        # timm's batch norms hold their activation as a child: that stays
        module.set_submodule(names[norm], nn.Sequential(*norm.children()))
    return module


def deployed(module: nn.Module, example: torch.Tensor, *, tolerance: float = 1e-3) -> nn.Module:
    """Branches merged and batch norms folded, checked against `module` on `example`.

    Raises:
        ValueError: the outputs differ by more than `tolerance`, relative to the largest output.
    """
    module = module.eval()
    result = fold_batch_norm(merge_branches(module), example)
    error = relative_difference(module, result, example)
    if not error <= tolerance:
        raise ValueError(f"the deployed network differs from the trained one by {error:.1e} (relative)")
    return result


@torch.no_grad()
def relative_difference(first: nn.Module, second: nn.Module, example: torch.Tensor) -> float:
    """Largest absolute difference of the outputs, relative to the largest absolute output of `first`."""
    a, b = first(example), second(example)
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))


def _pairs(module: nn.Module, example: torch.Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """As `_observed_pairs`, on the meta device where the network runs there: large images cost nothing, and none is changed."""
    try:
        shadow = copy.deepcopy(module).to("meta")
        with torch.device("meta"):
            found = _observed_pairs(shadow, torch.empty_like(example, device="meta"))
    except Exception:  # whatever a network does with values
        return _observed_pairs(module, example.clone())
    names = {layer: name for name, layer in shadow.named_modules()}
    return [tuple(module.get_submodule(names[layer]) for layer in pair) for pair in found]  # type: ignore[misc]


@torch.no_grad()
def _observed_pairs(module: nn.Module, example: torch.Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    readers: dict[int, list[nn.Module]] = {}  # id of a tensor -> leaf modules that read it
    writers: dict[int, nn.Conv2d] = {}
    calls: dict[nn.Module, int] = {}
    alive: list[torch.Tensor] = []  # keeps the ids valid

    def observe(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        calls[layer] = calls.get(layer, 0) + 1
        alive.extend([*inputs, output])
        for tensor in inputs:
            readers.setdefault(id(tensor), []).append(layer)
        if isinstance(layer, nn.Conv2d):
            writers[id(output)] = layer

    leaves = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d) or not list(m.children())]
    handles = [m.register_forward_hook(observe) for m in leaves]
    try:
        module(example)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (writers[tensor], norms[0])
        for tensor, norms in readers.items()
        if tensor in writers
        and len(norms) == 1
        and isinstance(norms[0], nn.BatchNorm2d)
        and norms[0].running_var is not None
        and calls[norms[0]] == calls[writers[tensor]] == 1
    ]


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
