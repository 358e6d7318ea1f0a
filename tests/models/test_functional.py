"""Networks that write in place, rewritten without a write: the same outputs as PyTorch's, through every view and name."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import UsageError
from blockzoo.models import tracing
from blockzoo.models.agreement import deviation
from blockzoo.models.copying import duplicate
from blockzoo.models.functional import without_writes
from blockzoo.models.tracing import Trace, trace


def run(traced: Trace, module: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
    """A graph, operation by operation."""
    values: dict[Any, Any] = {}
    given = iter(inputs)
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(given)
        elif node.op == "get_attr":
            values[node] = traced.value(node, module)
        elif node.op == "output":
            return traced.structure.filled([values[leaf] for leaf in node.args[0]])
        else:
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda n: values[n])
            values[node] = node.target(*args, **kwargs)
    raise AssertionError


@torch.no_grad()
def difference(module: nn.Module, *inputs: torch.Tensor) -> float:
    """Of the graph without writes from the network; nothing in the graph writes."""
    module.eval()
    rewritten = without_writes(trace(module, inputs), module)
    for node in rewritten.graph.nodes:
        assert not getattr(node.target, "_schema", None) or not node.target._schema.is_mutable, node
    given = [x.clone() for x in inputs]
    got = run(rewritten, module, given)
    assert all(torch.equal(a, b) for a, b in zip(given, inputs, strict=True)), "the caller's tensors stay"
    return deviation(module(*(x.clone() for x in inputs)), got)


class Way(nn.Module):
    """A map of 8 channels, and what `way` does with it."""

    def __init__(self, way: Callable[..., Any]) -> None:
        super().__init__()
        self.conv, self.way = nn.Conv2d(3, 8, 3, padding=1), way
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("kept", torch.ones(8, 1, 1))

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return self.way(self, self.conv(x), x, *others)


def augmented(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    z = y
    z *= 2
    z -= 1
    z /= 3
    return y + z


def slice_sum(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y[:, 0:3] += x
    y[:, ::2] *= 2
    y[:, -1] = y[:, 0]
    y[..., 1:, :] -= 1
    return y


def chunk(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y.chunk(2, 1)[1].relu_()
    a, b, c = y.split([1, 3, 4], 1)
    b.copy_(x)
    c += a
    y.unbind(1)[2].zero_()
    y.tensor_split(3, dim=1)[0].fill_(0.5)
    return y, a


def older_views(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    """Views from before a write see it; copies do not."""
    before, copied, flat = y[:, :2], y[:, :2].clone(), y.flatten(1)
    y.mul_(3)
    flat[:, :5] = 7
    return before, copied, flat, y


def turned(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y.permute(0, 2, 3, 1)[..., 1] += 1
    y.transpose(1, 2).mul_(2)
    y.movedim(1, -1)[0, 0].neg_()
    y.view(2, 4, 2, *y.shape[2:])[:, 1].sigmoid_()
    y.unsqueeze(0).squeeze().diagonal(dim1=2, dim2=3).fill_(9)
    y.narrow(1, -2, 1).exp_()
    return y


def written_out(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    made = torch.empty_like(y)
    torch.add(y, 1, out=made)
    torch.sigmoid(y, out=y)
    return made, y


def modules(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    z = m.relu(y)
    F.silu(y[:, 4:], inplace=True)
    F.dropout(y, 0.5, False, True).add_(1)
    return y, z


def masked(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y[y > 0] = 3
    y.masked_fill_(y < -0.5, 4)
    y.clamp_(max=3.5)
    y.index_add_(1, torch.tensor([0, 2]), y[:, :2].clone())
    torch.where(y > 1, y, x.mean()).add_(5)
    return y


def kinds_of_numbers(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    """A write keeps the type of what is written to, and widens what is written."""
    whole = y.mul(10).to(torch.int32)
    whole += 2
    whole[:, 0] = y[:, 1] * 10
    y[:, 1] = x.mean((2, 3))[:, :1, None]
    y.copy_(x[:, :1])
    return whole, y


def shapes_in_place(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    z = y[:, 0]
    z.unsqueeze_(1).add_(1)
    y.transpose_(2, 3).squeeze_(0)
    return y, z


def of_its_input(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    x[:, :1] *= 2
    return y, x, x.detach()


def through_data(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y.data[:, 0] = 1
    y.data.add_(1)
    return y


def nested(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    half = y[:, :4]
    quarter = half[:, 2:]
    line = quarter[:, 1].select(1, 0)
    line += 5
    half *= 2
    quarter.copy_(quarter.flip(1))
    return {"all": y, "some": [half, (quarter, line)]}


WAYS = [
    augmented, slice_sum, chunk, older_views, turned, written_out, modules, masked,
    kinds_of_numbers, shapes_in_place, of_its_input, through_data, nested,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_write(way: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    assert difference(Way(way), torch.randn(2, 3, 5, 6)) < 1e-6


def test_several_inputs() -> None:
    def both(m: Any, y: torch.Tensor, x: torch.Tensor, z: torch.Tensor) -> Any:
        z += y[:, :3]
        x += z
        return x, y, z

    assert difference(Way(both), torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)) < 1e-6


VIEWS: list[Callable[[torch.Tensor], torch.Tensor]] = [
    lambda t: t[:, 1:],
    lambda t: t[..., ::2],
    lambda t: t[0],
    lambda t: t.transpose(0, -1),
    lambda t: t.permute(*range(t.ndim)[::-1]),
    lambda t: t.unsqueeze(1),
    lambda t: t.squeeze(),
    lambda t: t.flatten(0, 1),
    lambda t: t.chunk(2, -1)[0],
    lambda t: t.unbind(0)[-1],
    lambda t: t.narrow(0, 0, 1),
    lambda t: t.detach(),
    lambda t: t.contiguous(),
    lambda t: t.reshape(-1, t.shape[-1]),
]
WRITES: list[Callable[[torch.Tensor, torch.Tensor], Any]] = [
    lambda t, u: t.add_(1),
    lambda t, u: t.mul_(u.mean()),
    lambda t, u: t.relu_(),
    lambda t, u: t.copy_(u.sum()),
    lambda t, u: t.sub_(t.flip(0)),
    lambda t, u: t.zero_(),
    lambda t, u: torch.cos(t.clone(), out=t) if t.is_contiguous() else t.cos_(),
    lambda t, u: t.__setitem__(0, u.amax()),
]


@pytest.mark.parametrize("seed", range(40))
def test_random_views_and_writes(seed: int) -> None:
    """Twelve steps drawn at random, each a view of some tensor, a write to one, or a copy; all tensors are returned."""

    def drawn(m: Any, y: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
        dice, tensors = random.Random(seed), [y]
        for _ in range(12):
            one, other = dice.choice(tensors), dice.choice(tensors)
            kind = dice.random()
            if kind < 0.5 and one.ndim > 1:
                made = dice.choice(VIEWS)(one)
                tensors.append(made if made.ndim and made.numel() else one)
            elif kind < 0.9:
                dice.choice(WRITES)(one, other)
            else:
                tensors.append(one.clone())
        return tensors

    torch.manual_seed(seed)
    assert difference(Way(drawn), torch.randn(2, 3, 4, 6)) < 1e-6


COMPLEX_VIEWS: list[Callable[[torch.Tensor], torch.Tensor]] = [
    *VIEWS,
    lambda t: t.conj(),
    lambda t: t.imag if t.is_complex() else t,
    lambda t: t.conj().imag if t.is_complex() else t,
    lambda t: t.real,
    lambda t: t.mH if t.ndim > 1 else t,
    lambda t: t.adjoint() if t.ndim > 1 else t,
    lambda t: torch.view_as_real(t) if t.is_complex() and not t.is_conj() else t,
    lambda t: torch.view_as_complex(t) if t.shape[-1] == 2 and not t.is_complex() and paired(t) else t,
    lambda t: t.resolve_conj(),
    lambda t: t.resolve_neg(),
    lambda t: t.conj_physical(),
]


def paired(t: torch.Tensor) -> bool:
    """Does it lie in memory as complex numbers do?"""
    return (
        not t.is_neg()
        and t.stride(-1) == 1
        and t.storage_offset() % 2 == 0
        and all(s % 2 == 0 for s in t.stride()[:-1])
    )


COMPLEX_WRITES: list[Callable[[torch.Tensor, torch.Tensor], Any]] = [
    lambda t, u: t.add_(1),
    lambda t, u: t.mul_(1j if t.is_complex() else 2),
    lambda t, u: t.copy_(u.sum() if t.is_complex() else u.real.sum()),
    lambda t, u: t.sub_(t.flip(0)),
    lambda t, u: t.conj_physical_(),
    lambda t, u: t.__setitem__(
        0, u.flatten()[0] if t.is_complex() else u.imag.sum() if u.is_complex() else 1
    ),
]


@pytest.mark.parametrize("seed", range(20))
def test_random_views_of_complex_maps(seed: int) -> None:
    """As above, of a map whose views conjugate it, change signs, or show its parts."""

    def drawn(m: Any, y: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
        dice, tensors = random.Random(seed), [torch.complex(y, y.flip(0))]
        for _ in range(12):
            one, other = dice.choice(tensors), dice.choice(tensors)
            if dice.random() < 0.6 and one.ndim > 1:
                made = dice.choice(COMPLEX_VIEWS)(one)
                tensors.append(made if made.ndim and made.numel() else one)
            else:
                dice.choice(COMPLEX_WRITES)(one, other)
        return tensors

    torch.manual_seed(seed)
    assert difference(Way(drawn), torch.randn(2, 3, 4, 6)) < 1e-6


def state(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    m.kept += 1
    return y * m.kept


def weight(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    m.conv.weight[:, :, 0] *= 0.5
    return y


def statistics(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    return F.batch_norm(y, m.kept.flatten(), m.kept.flatten(), training=True)


def strided(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    y.as_strided((2, 2), (1, 3)).add_(1)
    return y


def meshes(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    return torch.cat([y, (rows + columns).expand(len(y), 1, -1, -1)], 1)


def meshes_and_writes(m: Any, y: torch.Tensor, x: torch.Tensor) -> Any:
    made = meshes(m, y, x)
    return made.mul_(2)


def test_views_of_any_kind_are_followed_where_nothing_is_written() -> None:
    torch.manual_seed(0)
    assert difference(Way(meshes), torch.randn(2, 3, 4, 6)) < 1e-6


@pytest.mark.parametrize(
    "way, says",
    [
        (meshes_and_writes, "several views"),
        (state, "add_ changes kept"),
        (weight, r"mul_ changes conv\.weight"),
        (statistics, "statistics"),
        (strided, "view of a kind"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(way: Callable[..., Any], says: str) -> None:
    module = Way(way).eval()
    with pytest.raises(UsageError, match=says):
        without_writes(trace(module, [torch.randn(2, 3, 4, 6)]), module)


def test_traces_on_real_tensors_are_followed_too() -> None:
    torch.manual_seed(0)
    module, x = Way(older_views).eval(), torch.randn(2, 3, 4, 4)
    rewritten = without_writes(tracing._traced(duplicate(module), [x], (), "real"), module)
    with torch.no_grad():
        assert deviation(module(x), run(rewritten, module, [x])) < 1e-6


class AsManyAsDiffer(nn.Module):
    """Makes as many numbers as there are different ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.sign().unique().numel()


def test_a_size_that_values_decide_is_refused_in_words() -> None:
    x = torch.randn(1, 3, 4, 4)
    with pytest.raises(
        UsageError, match=r"AsManyAsDiffer cannot be run .*how much _?unique2? makes depends on the values"
    ):
        tiling.plan(AsManyAsDiffer(), x)


class ReadsList(nn.Module):
    """Reads numbers with `.tolist()`: of its input, or of a buffer."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of, self.layer = of, nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("sizes", torch.tensor([[2, 3], [4, 5]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        if self.of == "input":
            return y * 2 if x.amax().tolist() == 255 else y
        return sum((y[..., :h, :w].mean((2, 3)) for h, w in self.sizes.tolist()), torch.zeros(()))


def test_numbers_of_the_input_are_not_read_as_a_list() -> None:
    x = torch.randn(1, 3, 8, 8)
    with pytest.raises(UsageError, match="depends on the values"):
        trace(ReadsList("input"), [x])
    assert difference(ReadsList("buffer"), x) < 1e-6
