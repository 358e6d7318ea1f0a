"""Averaged weights: against sums written out, and their batch norm statistics against a pass over all training images."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from blockzoo.training.averaging import STATISTICS_IMAGES, Average, take_statistics


class Tied(nn.Module):
    """Two layers that share a weight, a count, a constant and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("constant", torch.tensor([0.1, 0.7, 1e-30]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1  # type: ignore[operator]
        return self.second(self.norm(self.first(x)))


def stepped(network: nn.Module, steps: int) -> Iterator[dict[str, torch.Tensor]]:
    """The network's state after each of some steps of SGD."""
    optimizer = torch.optim.SGD(network.parameters(), 0.5, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        yield copy.deepcopy(network.state_dict())


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_average_is_the_weighted_sum_of_all_steps(decay: float, steps: int) -> None:
    """Against the formula in float64, each step's values kept; of what was before the first step nothing is in it."""
    torch.manual_seed(0)
    network = Tied()
    average, states = Average(network, decay), []
    for state in stepped(network, steps):
        average.update()
        states.append(state)
    average.exchange()
    powers = [decay ** (steps - 1 - i) for i in range(steps)]
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            of_steps = [p * state[name].double() for p, state in zip(powers, states, strict=True)]
            torch.testing.assert_close(value.double(), sum(of_steps) / sum(powers), rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]
    assert torch.equal(network.get_buffer("constant"), states[0]["constant"]), "bit for bit"
    assert int(network.get_buffer("count")) == steps, "whole numbers are the last ones"


def test_network_and_average_change_places_and_back() -> None:
    torch.manual_seed(1)
    network = Tied()
    average = Average(network, 0.9)
    average.exchange()  # before a step there is none
    for _ in stepped(network, 3):
        average.update()
    trained = copy.deepcopy(network.state_dict())
    average.exchange()
    tested = copy.deepcopy(network.state_dict())
    assert not torch.equal(trained["first.weight"], tested["first.weight"])
    assert network.second.weight is network.first.weight
    average.exchange()
    assert all(torch.equal(trained[name], value) for name, value in network.state_dict().items())
    average.exchange()
    assert all(torch.equal(tested[name], value) for name, value in network.state_dict().items())


def test_it_goes_on_from_what_a_checkpoint_holds() -> None:
    torch.manual_seed(2)
    network = Tied()
    average = Average(network, 0.8)
    other: tuple[Tied, Average] | None = None
    for step, state in enumerate(stepped(network, 6)):
        average.update()
        if step == 2:
            average.exchange()
            kept = copy.deepcopy(network.state_dict())
            average.exchange()
            fresh = Tied()
            other = fresh, Average(fresh, 0.8)
            other[1].go_on_from(kept, average.steps)
        elif other is not None:
            other[0].load_state_dict(state)
            other[1].update()
    assert other is not None
    average.exchange()
    other[1].exchange()
    for name, value in network.state_dict().items():
        assert torch.equal(value, other[0].state_dict()[name]), name


class Images:
    """Batches of made-up images, the same in each pass."""

    def __init__(self, count: int, batch_size: int) -> None:
        generator = torch.Generator().manual_seed(5)
        self.batch_size, self.handed_out = batch_size, 0
        self._images = 2 + 3 * torch.randn(count, 3, 8, 8, generator=generator).cumsum(-1) / 4
        self.labels = self._images.mean((1, 2, 3)).gt(self._images.mean()).long()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in zip(
            self._images.split(self.batch_size), self.labels.split(self.batch_size), strict=True
        ):
            self.handed_out += len(images)
            yield images, labels


def trained(batches: Images) -> tuple[nn.Module, Average]:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    average = Average(network, 0.9)
    optimizer = torch.optim.SGD(network.parameters(), 0.4, momentum=0.9)
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        average.update()
    return network, average


def test_statistics_are_taken_anew_because_averaged_ones_are_of_other_networks() -> None:
    """The truth is the plain one: means and variances over all training images at once, layer by layer.

    While the learning rate is high, averages of the running statistics are off by far more than those of the first 1,024
    training images.
    """
    batches = Images(4096, 128)
    network, average = trained(batches)
    average.exchange()
    everything = torch.cat([images for images, _ in batches])
    x, truth = everything, []
    with torch.no_grad():
        for layer in network[:6]:  # type: ignore[index]
            if isinstance(layer, nn.BatchNorm2d):
                mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
                truth.append((mean, variance))
                x = (x - mean.view(-1, 1, 1)) / (variance + layer.eps).sqrt().view(-1, 1, 1)
                x = x * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1)
            else:
                x = layer(x)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]

    def off() -> float:
        """The largest distance of a mean in deviations, or of a variance as a share of it."""
        distances = [
            torch.maximum(
                (norm.running_mean - mean).abs() / variance.sqrt(),  # type: ignore[operator]
                (norm.running_var / variance).log().abs(),  # type: ignore[operator]
            ).max()
            for norm, (mean, variance) in zip(norms, truth, strict=True)
        ]
        return float(max(distances))

    averaged = off()
    batches.handed_out = 0
    before = copy.deepcopy(network.state_dict())
    take_statistics(network.eval(), batches)
    assert batches.handed_out == STATISTICS_IMAGES == 1024
    assert off() < 0.1 < 0.3 < averaged
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert all("running" in name or "num_batches" in name for name in changed) and len(changed) == 6
    assert not network.training and all(norm.momentum == 0.1 for norm in norms)


def test_no_pass_without_batch_norms_and_a_part_of_it_on_each_rank() -> None:
    batches = Images(1024, 128)
    take_statistics(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), batches)
    assert batches.handed_out == 0
    take_statistics(nn.BatchNorm2d(3), batches, ranks=4)
    assert batches.handed_out == 256
