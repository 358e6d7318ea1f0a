"""Muon against its formula in float64, and against torch's own where both can."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from blockzoo.training.muon import COEFFICIENTS, Muon, hidden_weights, orthogonalised


def slow_orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The polynomial applied to each singular value five times, by the decomposition itself."""
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm().clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ vh


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (1, 9), (5, 5)])
def test_singular_values_go_through_the_polynomial(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    made = orthogonalised(matrices)
    for matrix, own in zip(matrices, made, strict=True):
        torch.testing.assert_close(own.double(), slow_orthogonal(matrix), rtol=1e-3, atol=1e-4)
        assert torch.linalg.svdvals(own).max() < 1.21
    assert torch.equal(orthogonalised(torch.zeros(1, *shape)), torch.zeros(1, *shape))


class Layers(nn.Module):
    """Each kind of weight: pixels, dense, in groups, by channel, linear, logits, and what is no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.dense = nn.Conv2d(8, 16, 3, padding=1)
        self.groups = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.channels = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm = nn.BatchNorm2d(16)
        self.table = nn.Parameter(torch.randn(16, 4, 4))
        self.linear = nn.Linear(16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.channels(self.groups(self.dense(self.stem(x)))).relu()) * self.table
        return self.head(self.linear(x.mean((2, 3))))


def grouped(network: Layers, *, lr: float, decay: float = 0.1) -> list[dict[str, object]]:
    hidden = hidden_weights(network)
    others = [p for p in network.parameters() if p not in hidden]
    return [
        {"params": others, "weight_decay": 0.01},
        {
            "params": list(hidden), "matrices": list(hidden.values()), "lr": lr, "weight_decay": decay,
            "momentum": 0.0, "momentum_of_matrices": 0.9, "nesterov": False,
        },
    ]  # fmt: skip


def test_hidden_layers_are_those_between_the_pixels_and_the_logits() -> None:
    network = Layers()
    names = {id(p): name for name, p in network.named_parameters()}
    hidden = {names[id(p)]: count for p, count in hidden_weights(network).items()}
    assert hidden == {"dense.weight": 1, "groups.weight": 4, "channels.weight": 16, "linear.weight": 1}
    with pytest.raises(UsageError, match=r"Linear has no .* leave out muon_lr"):
        hidden_weights(nn.Linear(3, 3))
    normed = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(4, 2)
    )
    torch.nn.utils.parametrizations.weight_norm(normed[1])
    assert list(hidden_weights(normed)) == [normed[2].weight], "a weight that is computed is no parameter"
    scaffold = build_network(NetworkSpec("InvertedResidual/mid", num_blocks=1, base_channels=4), seed=0)
    assert all(
        count in (1, *map(len, hidden_weights(scaffold))) for count in hidden_weights(scaffold).values()
    )


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_are_those_of_the_formula(nesterov: bool) -> None:
    """Written out in float64, group by group, beside torch's SGD for what is not hidden."""
    torch.manual_seed(0)
    network = Layers().double()
    reference = Layers().double()
    reference.load_state_dict(network.state_dict())
    hidden = hidden_weights(network)
    of_reference = hidden_weights(reference)
    rest = [p for p in reference.parameters() if p not in of_reference]
    sgd = torch.optim.SGD(rest, 0.3, momentum=0.9, nesterov=nesterov, weight_decay=0.01)
    optimizer = Muon(grouped(network, lr=0.05), 0.3, momentum=0.9, nesterov=nesterov)  # type: ignore[arg-type]
    kept = {p: torch.zeros_like(p) for p in of_reference}
    for _ in range(3):
        x = torch.randn(4, 3, 4, 4, dtype=torch.float64)
        for net in (network, reference):
            net.zero_grad()
            net(x).logsumexp(1).sum().backward()
        optimizer.step()
        sgd.step()
        with torch.no_grad():
            for p, count in of_reference.items():
                assert p.grad is not None
                kept[p] = 0.9 * kept[p] + 0.1 * p.grad
                ahead = 0.1 * p.grad + 0.9 * kept[p] if nesterov else kept[p]
                matrices = ahead.flatten(1).chunk(count)
                rows, columns = matrices[0].shape
                step = torch.cat([slow_orthogonal(m) for m in matrices]) * math.sqrt(max(1, rows / columns))
                p.sub_(0.05 * (step.view_as(p) + 0.1 * p))
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-7, atol=1e-9, msg=name)
    assert len(hidden) == 4


def test_on_matrices_it_is_torchs_own_up_to_bfloat16() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 24), nn.Linear(24, 2)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    group = grouped(ours, lr=0.02)[1]  # type: ignore[arg-type]
    optimizer = Muon([group], 0.3, momentum=0.9, nesterov=True)
    reference = torch.optim.Muon([theirs[1].weight], lr=0.02, momentum=0.9, weight_decay=0.1)
    before = ours[1].weight.detach().clone()
    for _ in range(5):
        gradient = torch.randn(24, 6)  # of full rank: bfloat16 makes noise of singular values that are 0
        ours[1].weight.grad, theirs[1].weight.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        reference.step()
    moved = (theirs[1].weight - before).norm()
    assert (ours[1].weight - theirs[1].weight).norm() < 0.03 * moved


def test_its_state_is_saved_and_closures_are_called() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 4, 4)

    def after(steps: int, network: Layers, optimizer: Muon) -> Layers:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = network(x).logsumexp(1).sum()
            loss.backward()
            return loss

        for _ in range(steps):
            assert optimizer.step(closure) is not None
        return network

    def fresh(state: dict[str, torch.Tensor]) -> tuple[Layers, Muon]:
        network = Layers()
        network.load_state_dict(state)
        return network, Muon(grouped(network, lr=0.05), 0.3, momentum=0.9, nesterov=True)  # type: ignore[arg-type]

    start = Layers().state_dict()
    whole = after(4, *fresh(start))
    network, optimizer = fresh(start)
    after(2, network, optimizer)
    again, other = fresh(network.state_dict())
    other.load_state_dict(optimizer.state_dict())
    after(2, again, other)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
