"""The shapes that signatures say are those that tensors have: looked at while the package works."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from blockzoo.blockwise.curvature.hessian import Hessian, exact_hessian
from blockzoo.blockwise.run.losses import batch_loss, loss_of
from blockzoo.core.contracts import NETWORKS
from blockzoo.core.spec import NetworkSpec
from blockzoo.data.crops import random_boxes, resized_crop, shifted_crop
from blockzoo.data.epochs import permutation
from blockzoo.data.images import holdout, resize, stratified
from blockzoo.data.subsets import drawn, seeded_order
from blockzoo.models.scaffold import ScaffoldNet
from blockzoo.training.augmentation import cut_out, rand_augmented
from tests.sampled import sampled

jaxtyping = pytest.importorskip("jaxtyping")
KINDS = {name: getattr(jaxtyping, name) for name in ("Float", "Int", "UInt8", "Shaped")}


def looked_at(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, each of whose tensors has the shape and the kind of numbers that its signature says."""
    names = {**function.__globals__, **KINDS, "Iterator": Iterator}
    texts = {name: text for name, text in function.__annotations__.items() if isinstance(text, str)}
    said = {
        name: eval(text, names) for name, text in texts.items() if any(f"{kind}[" in text for kind in KINDS)
    }
    assert said, f"{function.__qualname__} says no shape: there is nothing to look at"
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with jaxtyping.jaxtyped("context"):
            given = signature.bind(*args, **kwargs)
            for name, value in given.arguments.items():
                assert fits(value, said.get(name)), f"{function.__qualname__}: {name} is no {said[name]}"
            result = function(*args, **kwargs)
            assert fits(result, said.get("return")), f"{function.__qualname__} returns no {said['return']}"
        return result

    return wrapped


def fits(value: Any, kind: Any) -> bool:
    """Arrays alone, and those in tuples and lists, have a shape to fit."""
    if get_origin(kind) is tuple:
        return all(map(fits, value, get_args(kind)))
    if get_origin(kind) is list:  # one name may stand for another size in each
        return all(_fits_alone(part, get_args(kind)[0]) for part in value)
    if isinstance(value, (torch.Tensor, np.ndarray)) and isinstance(kind, type):
        return isinstance(value, kind)
    return True


def _fits_alone(value: Any, kind: Any) -> bool:
    with jaxtyping.jaxtyped("context"):
        return fits(value, kind)


def test_a_wrong_shape_is_seen() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(AssertionError, match="shifts"):
        looked_at(shifted_crop)(images, torch.zeros(2, 3, dtype=torch.long), 1, "zeros")
    with pytest.raises(AssertionError, match="images"):
        looked_at(resized_crop)(images.float(), torch.rand(4, 2), 8, 8)
    with pytest.raises(AssertionError, match="no shape"):
        looked_at(pytest.importorskip)


@pytest.mark.parametrize(
    "name", sampled(sorted(NETWORKS), ["block_mobilenet", "block_resnet18", "cnn", "nn_ensemble"])
)
def test_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS[name](NetworkSpec(f"model:{name}")).eval()
    if type(network).__module__.startswith("blockzoo."):  # others say no shapes
        monkeypatch.setattr(type(network), "forward", looked_at(type(network).forward))
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_the_scaffold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScaffoldNet, "forward", looked_at(ScaffoldNet.forward))
    ScaffoldNet("ResNetBasicBlock", base_channels=4, num_blocks=1)(torch.randn(2, 3, 32, 32))


def test_images() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4, 3, 16, 16), generator=generator, dtype=torch.uint8)
    boxes = looked_at(random_boxes)(4, generator)
    looked_at(resized_crop)(images, boxes, 8, 8)
    looked_at(shifted_crop)(images, torch.zeros(2, 4, dtype=torch.long), 2, "zeros")
    looked_at(rand_augmented)(images, range(4), 1, 9)
    looked_at(cut_out)(images, range(4), 4, (0.5, 0.5, 0.5))
    looked_at(permutation)(4, 0, 0)
    looked_at(resize)(images.numpy(), np.empty((4, 3, 8, 8), np.uint8))
    labels = np.repeat(np.arange(2), 10)
    for draw in (stratified, holdout):
        looked_at(draw)(labels, 2)
    looked_at(drawn)(labels, 5)
    looked_at(seeded_order)(7)


def test_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 2))
    x, y = torch.randn(5, 8), torch.randint(2, (5,))
    looked_at(batch_loss)(model, cross_entropy, x, y)
    looked_at(loss_of)(cross_entropy, model(x), y)
    for method in ("pair", "columns", "full", "by_differences"):
        monkeypatch.setattr(Hessian, method, looked_at(getattr(Hessian, method)))
    size = sum(p.numel() for p in model.parameters())
    assert looked_at(exact_hessian)(model, cross_entropy, [(x, y)]).shape == (size, size)
    hessian = Hessian(model, cross_entropy, [(x, y)], "tensor")
    assert hessian.pair(0, 1, torch.randn(hessian.sizes[1])).shape == (hessian.sizes[0],)
    with pytest.raises(AssertionError, match="v is no"):
        hessian.full(torch.randn(2, 3))
