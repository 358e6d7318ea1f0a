from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError
from blockzoo.measure.macs import MacCounter, count_macs
from blockzoo.measure.size import count_params
from blockzoo.models.copying import duplicate, on_meta
from blockzoo.profile import profile_block


def test_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8, stride=2, padding=1), nn.Flatten()
    )
    assert count_macs(net, torch.zeros(2, 3, 8, 8)) == 2 * (64 * 8 * 27 + 16 * 8 * 9)
    assert count_macs(nn.Linear(10, 4), torch.zeros(5, 10)) == 200
    assert count_macs(nn.ConvTranspose2d(4, 6, 2, stride=2), torch.zeros(1, 4, 5, 5)) == 25 * 4 * 6 * 4


def test_functional_convolutions_count() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8, 3, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.weight)

    assert count_macs(Functional(), torch.zeros(1, 3, 10, 10)) == 64 * 8 * 27


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_counts_on_every_device(device: str) -> None:
    """Two products of (heads x) tokens x tokens x depth; torch's own counter says 0 on the CPU."""
    batch, heads, tokens, depth = 2, 4, 16, 8
    q = torch.zeros(batch, heads, tokens, depth, device=device)
    with MacCounter() as counter, torch.no_grad():
        F.scaled_dot_product_attention(q, q, q)
    assert counter.macs == 2 * batch * heads * tokens * tokens * depth


@pytest.mark.parametrize(("groups", "inputs"), [(1, 1), (1, 2), (16, 1), (16, 2), (4, 2)])
def test_backward_of_a_convolution_is_one_pass_per_gradient(groups: int, inputs: int) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1, groups=groups, bias=False)
    x = torch.zeros(2, 16, 8, 8, requires_grad=inputs == 2)
    with MacCounter() as counter:
        out = conv(x).sum()
        forward = counter.macs
        out.backward()
    assert forward == 2 * 64 * 16 * 9 * 16 // groups
    assert counter.macs - forward == inputs * forward


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(4, 4)
    layer.bias.requires_grad_(False)
    assert count_params(nn.Sequential(layer, layer)) == (20, 16)


class Flat(nn.Module):
    """Parameters in one flat one, another elsewhere, an expanded and a complex one."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.randn(100))
        self.rows = nn.Parameter(self.flat.data[10:30].view(4, 5))
        self.columns = nn.Parameter(self.flat.data.view(10, 10).T, requires_grad=False)
        self.own = nn.Parameter(torch.randn(7))
        self.expanded = nn.Parameter(torch.randn(6, 1).expand(6, 50))
        self.complex = nn.Parameter(torch.randn(3, dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.flat.sum()


def test_what_lies_in_one_place_counts_once() -> None:
    total = 100 + 7 + 6 + 2 * 3
    network = Flat()
    assert count_params(network) == (total, total)
    network.flat.requires_grad_(False)
    assert count_params(network) == (total, 20 + 7 + 6 + 2 * 3)
    for copied in (duplicate(network), on_meta(network)):
        assert count_params(copied) == (total, 20 + 7 + 6 + 2 * 3)
    copied = duplicate(network)
    assert all(torch.equal(a, b) for a, b in zip(copied.parameters(), network.parameters(), strict=True))
    with torch.no_grad():
        copied.flat[10] = 5
    assert copied.rows[0, 0] == 5 and network.flat[10] != 5, (
        "as in the original, which shares nothing with it"
    )
    costs = profile_block(network, input_shape=(1, 3, 4, 4)).network
    assert (costs.params_total, costs.model_bytes) == (total, 4 * total)
    first, second = nn.Linear(8, 5), nn.Linear(5, 8)
    second.weight = nn.Parameter(first.weight.T)
    assert (
        profile_block(nn.Sequential(first, second), input_shape=(1, 1, 1, 8)).network.params_total
        == 40 + 5 + 8
    )


class Convolved(nn.Module):
    """A convolution whose weight is what `hold` makes of it."""

    def __init__(self, hold: str) -> None:
        super().__init__()
        weight = torch.randn(8, 3, 3, 3)
        self.register_buffer("weight", weight) if hold == "buffer" else setattr(self, "weight", weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight.flip(-1))


def packed() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 10))
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear})


@pytest.mark.filterwarnings("ignore:torch.jit", "ignore:torch.quantize_per_tensor", "ignore:.*deprecated")
@pytest.mark.parametrize(
    ("build", "says", "hidden"),
    [
        (
            lambda: torch.jit.freeze(torch.jit.script(nn.Conv2d(3, 8, 3).eval())),
            "lack 224 numbers of weights",
            1,
        ),
        (lambda: Convolved("attribute"), "lack 216 numbers of weights that are neither", 1),
        (packed, "lack the packed weights of quantized.linear_dynamic", 1),
        (lambda: Convolved("buffer"), "lack 216 numbers of buffers that are used as weights", 0),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), "", 0),
        (lambda: torch.jit.script(nn.Conv2d(3, 8, 3)), "", 0),
    ],
    ids=["frozen", "attribute", "packed", "buffer", "parametrised", "scripted"],
)
def test_weights_that_are_no_parameters_are_named(build, says: str, hidden: bool) -> None:  # type: ignore[no-untyped-def]
    network = build()
    notes = profile_block(network, input_shape=(1, 3, 12, 12)).notes
    assert any(says in note for note in notes) if says else not notes
    if hidden:
        with pytest.raises(UsageError, match=f"{says}.*leave out --strict"):
            profile_block(network, input_shape=(1, 3, 12, 12), strict=True)
    else:
        profile_block(network, input_shape=(1, 3, 12, 12), strict=True)
