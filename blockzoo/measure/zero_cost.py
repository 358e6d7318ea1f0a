"""Scores of untrained networks: one batch or none, no training. Each is a function (network, images, labels) -> float.

Higher is said to be better. Whether a score ranks networks better than their number of parameters does is a question to
measure, not to assume: `blockzoo nas zero-cost` prints the rank correlations beside those of parameters and MACs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Score = Callable[[nn.Module, torch.Tensor, torch.Tensor], float]
WEIGHTED = (nn.Conv2d, nn.Linear)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.GELU)


def scores(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> dict[str, float]:
    """All scores of a network, each on a fresh copy of it, so that none disturbs another.

    Args:
        network: untrained; its initial weights matter.
        images: (B, C, H, W) normalised.
        labels: (B,).
    """
    return {name: score(copy.deepcopy(network), images, labels) for name, score in SCORES.items()}


def grad_norm(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> float:
    """Sum over layers of the norm of the gradient of the loss. Source: Abdelfattah et al., ICLR 2021."""
    _backward(network, images, labels)
    return sum(float(w.grad.norm()) for w in _weights(network) if w.grad is not None)


def snip(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> float:
    """Sum of |weight x gradient|: what the loss loses, to first order, with each weight. Source: Lee et al., ICLR 2019."""
    _backward(network, images, labels)
    return sum(float((w.detach() * w.grad).abs().sum()) for w in _weights(network) if w.grad is not None)


def synflow(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> float:
    """log of the sum of weight x gradient of the summed output, all weights made positive and the input ones.

    In double precision, batch norms at their initial statistics. Source: Tanaka et al., NeurIPS 2020.
    """
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network(torch.ones_like(images[:1], dtype=torch.float64)).sum().backward()
    total = sum(float((w.detach() * w.grad).abs().sum()) for w in _weights(network) if w.grad is not None)
    return float(torch.tensor(total, dtype=torch.float64).log())


def jacov(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> float:
    """How little the input gradients of different images correlate. Source: Mellor et al., v1, 2020."""
    inputs = images.clone().requires_grad_()
    network.train()(inputs).sum().backward()
    assert inputs.grad is not None
    correlation = torch.corrcoef(inputs.grad.flatten(1).double())
    values = torch.linalg.eigvalsh(torch.nan_to_num(correlation))
    small = 1e-5
    return -float((values + small).log().sum() + (1 / (values + small)).sum())


def naswot(
    network: nn.Module, images: Float[torch.Tensor, "B C H W"], labels: Int[torch.Tensor, " B"]
) -> float:
    """log-determinant of the kernel of agreeing signs of ReLUs. Source: Mellor et al., ICML 2021."""
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        on = (inputs[0].detach() > 0).flatten(1).float()
        kernel.add_((on @ on.T + (1 - on) @ (1 - on).T).cpu())

    hooks = [m.register_forward_pre_hook(add) for m in network.modules() if isinstance(m, ACTIVATIONS)]
    if not hooks:
        raise UsageError("naswot looks at ReLUs and their like, of which this network has none")
    with torch.no_grad():
        network.train()(images)
    for hook in hooks:
        hook.remove()
    return float(torch.linalg.slogdet(kernel + 1e-6 * torch.eye(len(images)))[1])


def zen(
    network: nn.Module,
    images: Float[torch.Tensor, "B C H W"],
    labels: Int[torch.Tensor, " B"],
    spread: float = 0.01,
    repeats: int = 4,
) -> float:
    """log of how far a small change of a random input moves the features, plus log of what batch norms scaled away.

    Weights and inputs are normal. Source: Lin et al., Zen-NAS, ICCV 2021.
    """
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(repeats):
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, WEIGHTED):
                    module.weight.copy_(torch.randn(module.weight.shape, generator=generator))
        first = torch.randn(images.shape, generator=generator).to(images)
        second = first + spread * torch.randn(images.shape, generator=generator).to(images)
        with torch.no_grad(), _last_features(network) as features, _norm_deviations(network) as deviations:
            network.train()(first)
            moved = features.pop()
            scaled = sum(deviations)
            network(second)
            change = (moved - features.pop()).abs().mean()
        values.append(float(torch.log(change + 1e-30)) + scaled)
    return sum(values) / len(values)


SCORES: dict[str, Score] = {
    "grad_norm": grad_norm,
    "snip": snip,
    "synflow": synflow,
    "jacov": jacov,
    "naswot": naswot,
    "zen": zen,
}


def _backward(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    network.zero_grad()
    F.cross_entropy(network.train()(images), labels).backward()


def _weights(network: nn.Module) -> list[torch.Tensor]:
    return [m.weight for m in network.modules() if isinstance(m, WEIGHTED)]


@contextmanager
def _last_features(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """What the last linear layer reads: the features before the classifier."""
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise UsageError("zen reads the features before the last linear layer, and this network has none")
    seen: list[torch.Tensor] = []
    hook = linear[-1].register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].detach().clone())
    )
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def _norm_deviations(network: nn.Module) -> Iterator[list[float]]:
    """log of the mean deviation of each batch norm's input."""
    seen: list[float] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        variance = inputs[0].detach().double().var(dim=(0, 2, 3), unbiased=False)
        seen.append(float(variance.mean().sqrt().clamp_min(1e-30).log()))

    hooks = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
