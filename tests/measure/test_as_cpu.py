"""Networks that ask where they run are counted, without values, as they run on a CPU."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError
from blockzoo.measure.macs import count_macs
from blockzoo.measure.memory import peak_memory
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.profile import get_model_profile

SHAPE = (1, 3, 8, 8)
CPU = torch.device("cpu")


class Network(nn.Module):
    """A convolution, and what a function makes of it and its input."""

    def __init__(self, made):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.table, self.place, self.made = [torch.ones(8, 1, 1)], CPU, made

    def once(self, x):
        return self.norm(self.convolution(x))

    def twice(self, x):
        return self.once(x) + self.once(x.flip(3))

    def _twice_read(self, x):
        y = self.convolution(x)
        return self.norm(y) + y

    def forward(self, x):
        return self.made(self, x)


def check_as_on_a_cpu(network, note=""):
    """Figures on paper are those of real tensors; `note` is in what is said of how they were made, where anything is."""
    x = torch.zeros(SHAPE)
    with torch.no_grad():
        expected = count_macs(network.eval(), x), peak_memory(network, x)
    profile = get_model_profile(network, SHAPE)
    assert (profile.network.macs, profile.network.peak_activation_bytes) == expected
    assert all(note and note in said for said in profile.notes) and bool(profile.notes) == bool(note)


ASKING = {
    "device": lambda x: x.device.type == "cpu",
    "device as text": lambda x: str(x.device) == "cpu",
    "is_cpu": lambda x: x.is_cpu,
    "is_meta": lambda x: not x.is_meta,
    "is_cuda": lambda x: not x.is_cuda,
    "get_device": lambda x: x.get_device() < 0,
    "torch.get_device": lambda x: torch.get_device(x) < 0,
    "type": lambda x: x.type() == "torch.FloatTensor",
}


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize("of", ["input", "weight", "result"])
def test_what_a_branch_is_told(asked, of):
    def made(self, x):
        one = {"input": x, "weight": self.convolution.weight, "result": x * 2}[of]
        return self.twice(x) if ASKING[asked](one) else self.once(x)

    network = Network(made)
    network.norm = nn.Identity()  # whose folding is no part of real figures here
    check_as_on_a_cpu(network)


MADE_THERE = {
    "zeros": lambda self, x: torch.zeros(8, 1, 1, device=x.device),
    "zeros on a CPU": lambda self, x: torch.zeros(8, 1, 1, device="cpu"),
    "a range, by an attribute": lambda self, x: torch.arange(8.0, device=self.place).view(8, 1, 1),
    "a number": lambda self, x: torch.tensor([2.0], device=x.device),
    "new ones": lambda self, x: x.new_ones((8, 1, 1), device=x.device),
    "in a context": lambda self, x: _ones_at(x.device),
    "a table that is moved": lambda self, x: self.table[0].to(x.device),
    "moved by name": lambda self, x: self.table[0].to(device=x.device, dtype=x.dtype),
    "moved to a tensor": lambda self, x: self.table[0].to(x),
    "made first, then moved": lambda self, x: torch.zeros(64, 8, 8).to(x.device)[:8],
    "made elsewhere, then cast": lambda self, x: torch.zeros(64, 8, 8).to(x.device, torch.float64)[:8],
    "cast on the way": lambda self, x: self.table[0].to(x.device, torch.float64),
    "input": lambda self, x: x[:, :1].to("cpu").cpu(),
}


def _ones_at(device):
    with torch.device(device):
        return torch.ones(8, 1, 1)


@pytest.mark.parametrize("made", MADE_THERE)
def test_what_is_made_where_the_input_is(made):
    network = Network(lambda self, x: self.once(x) + MADE_THERE[made](self, x))
    network.norm = nn.Identity()
    check_as_on_a_cpu(network)


def _cast(self, x):
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        return F.relu(self.convolution(x))


def _by_address(self, x):
    y = self.convolution(x)
    return self.convolution(x) + y if y.data_ptr() != x.data_ptr() else y


FOLDED = {
    "folded on a CPU alone": lambda self, x: (
        self.norm(self.convolution(x)) if x.device.type == "cpu" else self._twice_read(x)
    ),
    "folded anywhere but there": lambda self, x: (
        self._twice_read(x) if x.device.type == "cpu" else self.norm(self.convolution(x))
    ),
    "moved to a CPU before": lambda self, x: self.norm(self.convolution(x.to("cpu"))),
}


@pytest.mark.parametrize("made", FOLDED)
def test_norms_are_folded_as_on_a_cpu(made):
    network = Network(FOLDED[made]).eval()
    with torch.no_grad():
        expected = peak_memory(fold_batch_norm(network, torch.ones(SHAPE)), torch.zeros(SHAPE))
    assert expected == 2048 * (1 if made != "folded anywhere but there" else 3)
    assert get_model_profile(network, SHAPE).network.peak_activation_bytes == expected


ON_VALUES = {
    "autocast does nothing": _cast,
    "has no address": _by_address,
    "Cannot copy out of meta tensor; no data!": lambda self, x: self.convolution(x.to("cpu:0")),
    "Cannot copy out of meta tensor": lambda self, x: (
        self.convolution(x) * torch.linspace(0, 1, 3, device=x.device).tolist()[1]
    ),
}


@pytest.mark.parametrize("why", ON_VALUES)
def test_what_cannot_be_told_is_counted_on_values(why):
    network = Network(ON_VALUES[why])
    network.norm = nn.Identity()
    check_as_on_a_cpu(network, note=why)


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)

    def forward(self, x):
        if x.is_cuda or x.device != torch.device("cpu"):
            return self.convolution(x)
        return self.convolution(x) + self.convolution(x.flip(3))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_what_script_asks_is_counted_on_values():
    check_as_on_a_cpu(torch.jit.script(Scripted()), note="asks where a tensor is, in TorchScript")


class Keeping(nn.Module):
    """Built on paper, it keeps the name of the place."""

    def __init__(self, in_channels, out_channels, stride, position):
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.place = self.convolution.weight.device

    def forward(self, x):
        y = self.convolution(x)
        return y if self.place.type == "cpu" else y.repeat(2, 1, 1, 1)[:1]


def test_a_kept_device_is_that_of_a_cpu():
    from blockzoo.measure.costs import measure

    measured = measure(lambda: Keeping(3, 8, 1, "mid"), torch.Size(SHAPE))
    assert measured.quantities["peak_activation_bytes"].live == 4 * 8 * 8 * 8
    assert any("keeps the device that it was built on" in note for note in measured.notes)


MIXED = {
    "times i": lambda self, x: (self.once(x) * 1j).abs(),
    "plus i": lambda self, x: _product(self.once(x) + 1j),
    "real and imaginary": lambda self, x: _product(self.once(x) + 1j * self.once(x.flip(2))),
    "over i": lambda self, x: _product(self.once(x) / 2j),
    "minus i, then halves": lambda self, x: _product((self.once(x) - 1j).mul_(0.5)),
    "the layout of a norm": lambda self, x: self.norm(self.convolution(x).mT).flatten(2).relu(),
    "whole numbers": lambda self, x: (self.once(x) > 0).long() * 2.5,
    "double": lambda self, x: self.once(x) * torch.ones(8, 1, 1, dtype=torch.float64, device=x.device),
    "yes and no": lambda self, x: (self.once(x) > 0) * self.once(x),
}


def _product(z):
    return (z @ z.mH).abs()


@pytest.mark.parametrize("made", MIXED)
def test_real_and_complex_mixed(made):
    network = Network(MIXED[made])
    if "norm" not in made:
        network.norm = nn.Identity()
    check_as_on_a_cpu(network)


def test_complex_products_by_hand():
    """Attention scores of two real convolutions, as one complex map: four real products each."""
    profile = get_model_profile(Network(MIXED["real and imaginary"]), SHAPE, strict=True)
    assert profile.network.macs == 2 * 8 * 27 * 64 + 4 * 8 * 8 * 8 * 8


REFUSED = {
    "can't be cast": lambda self, x: self.once(x).mul_(1j),
    "Subtraction, the `-` operator, with a bool": lambda self, x: self.once(x) - (x[:, :1] > 0),
    "more than one element": lambda self, x: self.once(x)[:, :1].expand(-1, 8, -1, -1).add_(1),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_cpu_refuses_has_no_figures(why):
    network = Network(REFUSED[why])
    with pytest.raises((RuntimeError, NotImplementedError), match=why), torch.no_grad():
        network(torch.zeros(SHAPE))
    with pytest.raises(UsageError, match=why):
        get_model_profile(network, SHAPE)
