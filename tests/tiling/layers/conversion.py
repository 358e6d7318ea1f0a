"""What every converted network must keep, checked on one network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from blockzoo import tiling
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network

P = ParamSpec("P")
R = TypeVar("R")

SIZES = (64, 96, 128, 224, 299)


def smallest_input(model: nn.Module, *, pixels: int = 0) -> torch.Tensor:
    """Two pictures of the size given, or of the smallest that the network takes; they set its batch statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    try:
        for size in (pixels,) if pixels else SIZES:
            x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
            try:
                with torch.no_grad():
                    model.train()(x)
            except Exception as error:
                refusal = error
            else:
                return x
        raise refusal
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


def drawn_anew(model: nn.Module) -> nn.Module:
    """Untrained networks end in zeros, or scale their branches by a millionth: no difference would be seen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.normal_(0, (2 / p[0].numel()) ** 0.5)
            elif "bias" in name:
                p.uniform_(-0.1, 0.1)
            else:
                p.uniform_(0.5, 1.5)
    return model


def one_threaded(check: Callable[P, R]) -> Callable[P, R]:
    """Maps this small gain nothing by threads, and the tests of other processes lose them."""

    @functools.wraps(check)
    def run(*args: P.args, **options: P.kwargs) -> R:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return check(*args, **options)
        finally:
            torch.set_num_threads(threads)

    return run


@one_threaded
def check_conversion(subject: str, *, pixels: int = 0, block_size: int = 8) -> tiling.ConversionReport:
    """Convert one network; every assertion of this file holds for it.

    Keys and weights stay; with one tile the result stays; with several it changes where windows overlap; forward and backward
    run, and reach what they reach in the network itself.
    """
    model = drawn_anew(build_network(NetworkSpec(subject), seed=0))
    x = smallest_input(model, pixels=pixels)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        expected = model(x)
        whole, _ = tiling.block_convert(model, x, 0)
        assert distance(whole(x), expected) < 1e-4
        converted, report = tiling.block_convert(model, x, block_size)
        got = converted(x)
    for network in (whole, converted, model):
        state = network.state_dict()
        assert state.keys() == before.keys()
        assert all(torch.equal(value, before[name]) for name, value in state.items())
    assert got.shape == expected.shape and got.isfinite().all()
    assert (distance(got, expected) > 1e-4) == overlaps(converted, report), str(report)
    assert all(layer.blocked or layer.reason for layer in report.layers)
    unreached = without_gradient(converted, x)
    assert not unreached or unreached == without_gradient(model, x)
    return report


def distance(got: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((got - expected).abs().max() / expected.abs().max())


def overlaps(converted: nn.Module, report: tiling.ConversionReport) -> bool:
    """Some window of a layer with several tiles reads across a cut."""
    for layer in report.layers:
        if layer.blocked and max(layer.grid) > 1:
            stride = converted.get_submodule(layer.name).stride
            strides = (stride, stride) if isinstance(stride, int) else stride
            if any(kernel > step for kernel, step in zip(layer.kernel, strides, strict=True)):
                return True
    return False


def without_gradient(model: nn.Module, x: torch.Tensor) -> set[str]:
    """Parameters that a training step does not reach."""
    outputs: Any = model.train()(x)
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(output.sum() for output in several if output is not None).backward()
    return {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
