"""A runner where memory matters: layouts of images, tensors that are written, replaced or shared, inputs that are no images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.tiling import TiledRunner
from tests.sampled import sampled


class Two(nn.Module):
    """Two convolutions; what comes between them is said."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.between = between
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.between(self.first(x)))


def through_flatten(y: torch.Tensor) -> torch.Tensor:
    y.flatten(1)[:, :512] = 0
    return y


def through_contiguous(y: torch.Tensor) -> torch.Tensor:
    y.contiguous().add_(1)
    return y


def through_reshape(y: torch.Tensor) -> torch.Tensor:
    y.reshape(len(y), 2, 4, *y.shape[2:])[:, 0].mul_(0)
    return y


def layouts() -> dict[str, torch.Tensor]:
    x = torch.randn(2, 3, 16, 16)
    return {
        "contiguous": x,
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "crop": torch.randn(2, 3, 20, 20)[:, :, 2:18, 2:18],
        "transposed": x.mT,
        "expanded": x[:1].expand(2, -1, -1, -1),
    }


@pytest.mark.parametrize("weights", sampled(["contiguous_format", "channels_last"], ["channels_last"]))
@pytest.mark.parametrize(
    "between", sampled([through_flatten, through_contiguous, through_reshape, F.relu], [through_contiguous])
)
def test_what_is_a_view_in_one_layout_is_a_copy_in_another(
    between: Callable[[torch.Tensor], torch.Tensor], weights: str
) -> None:
    """Right in each layout, or refused in words; never another output."""
    network = Two(between).eval().to(memory_format=getattr(torch, weights))
    right = 0
    for planned in ("contiguous", "channels_last"):
        try:
            runner = TiledRunner(network, tiling.plan(network, layouts()[planned], mode="exact"))
        except UsageError:
            continue
        for x in layouts().values():
            with torch.no_grad():
                expected = network(x)
                try:
                    found = runner(x)
                except UsageError as error:
                    assert "not contiguous" in str(error)
                    continue
            right += 1
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert right >= 4


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_weights_of_any_mode_are_loaded_and_written(mode: type) -> None:
    x = torch.randn(1, 3, 12, 12)
    with mode():
        one, other = Two(F.relu).eval(), Two(F.relu).eval()
        with torch.no_grad():
            other.first.weight.mul_(-2)
        runner = TiledRunner(one, tiling.plan(one, x, mode="exact"))
        runner(x)
        runner.load_state_dict(other.state_dict())
        assert torch.allclose(runner(x), other(x), atol=1e-5)
        runner._model.second.weight.mul_(3)  # type: ignore[union-attr]
        other.second.weight.mul_(3)
        assert torch.allclose(runner(x), other(x), atol=1e-5)


class Kept(Two):
    """Tensors in a list and in a dictionary."""

    def __init__(self) -> None:
        super().__init__(F.relu)
        self.factors, self.named = [torch.ones(1, 8, 1, 1)], {"a": torch.ones(1, 8, 1, 1)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(F.relu(self.first(x)) * self.factors[0] * self.named["a"])


def test_tensors_in_lists_count_too() -> None:
    x, network = torch.randn(1, 3, 12, 12), Kept().eval()
    runner = TiledRunner(network, tiling.plan(network, x, mode="exact"))
    for of in (network, runner._model):
        of.factors[0] = torch.full((1, 8, 1, 1), 2.0)
        of.named["a"].mul_(3)  # type: ignore[operator, index]
    with torch.no_grad():
        assert torch.allclose(runner(x), network(x), atol=1e-5)


class Pair(Two):
    """Changes its first input, as networks that normalise in place do."""

    def __init__(self, *, writes: bool) -> None:
        super().__init__(F.relu)
        self.writes = writes

    def forward(self, x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        x = x.sub_(0.5).mul_(2) if self.writes else (x - 0.5) * 2
        return super().forward(x) - super().forward(reference)


def test_one_tensor_as_two_inputs_that_are_written_to() -> None:
    x = torch.rand(1, 3, 12, 12)
    for writes in (True, False):
        network = Pair(writes=writes).eval()
        runner = TiledRunner(network, tiling.plan(network, (x.clone(), x.clone()), mode="exact"))
        with torch.no_grad():
            expected = network(x.clone(), x.clone())
            assert torch.allclose(runner(x.clone(), x.clone()), expected, atol=1e-5)
            same = x.clone()
            if writes:
                with pytest.raises(UsageError, match="lie in the same memory"):
                    runner(same, same)
                with pytest.raises(UsageError, match="lie in the same memory"):
                    runner(same[:, :], same)
            else:
                assert torch.allclose(runner(same, same), expected, atol=1e-5)


class Scaled(Two):
    def forward(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.second(F.relu(self.first(x) * by))


@pytest.mark.parametrize("images", sampled([1, 2], [2]))
@pytest.mark.parametrize("shape", [(), (1,), (8, 1, 1), (1, 8, 1, 1), (1, 1, 12, 12), (12, 12)])
def test_a_second_input_without_an_image_axis(shape: tuple[int, ...], images: int) -> None:
    """Several tiles at once are several images to an operation, and not to what has none."""
    x, by = torch.randn(images, 3, 12, 12), torch.rand(shape)
    network = Scaled(F.relu).eval()
    for options in (
        {"grid": (6, 6), "fuse_to": "second", "batch": 4},
        {"grid": (3, 2), "fuse_to": "second", "batch": 6},
    ):
        try:
            plan = tiling.plan(network, (x, by), mode="exact", **options)  # type: ignore[arg-type]
        except UsageError as error:
            assert "is not local" in str(error)  # as two images may be what a (1, 8, 1, 1) differs by
            continue
        with torch.no_grad():
            assert torch.allclose(TiledRunner(network, plan)(x, by), network(x, by), atol=1e-5)
