"""What networks, losses and examples of many kinds become: trained rightly, or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.run.data import Examples
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.core.errors import UsageError

CE = nn.functional.cross_entropy
MODES = ("jacobi", "gauss-seidel", "entire", "async", "local-sgd")


class Net(nn.Module):
    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([first, nn.Linear(4, 3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[1](self.blocks[0](x))  # type: ignore[no-any-return]


def dense() -> nn.Module:
    torch.manual_seed(0)
    return Net(nn.Sequential(nn.Linear(5, 4), nn.Tanh()))


def looked_up(sparse: bool) -> nn.Module:
    torch.manual_seed(0)
    return Net(nn.Sequential(nn.Embedding(10, 4, sparse=sparse), nn.Flatten(), nn.Linear(12, 4)))


torch.manual_seed(1)
X, Y, WORDS = torch.randn(24, 5), torch.randint(3, (24,)), torch.randint(10, (24, 3))


def trained(mode: str, model: nn.Module, data: Any, **options: Any) -> nn.Module:
    asked = Options(training_mode=mode, rounds=1, k=3, step_size=0.1, batch_size=8, **options)
    frame = Frame(model, data, Examples.of([(X, Y)]), CE, asked)
    engine = ENGINES[mode]()
    for _ in range(2):
        engine.run(frame)
        frame.round += 1
    return model


def same(one: nn.Module, other: nn.Module, tolerance: float = 0.0) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(a.float(), b.float(), rtol=0, atol=tolerance) for a, b in pairs)


@pytest.mark.parametrize("mode", MODES)
def test_a_pair_batches_and_a_generator_are_the_same_examples(mode: str) -> None:
    want = trained(mode, dense(), Examples(X, Y))
    assert not same(want, dense())
    for data in (
        (X, Y),
        [X, Y],
        [(X[:10], Y[:10]), (X[10:], Y[10:])],
        ((X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)),
        [(X, Y), (X[:0], Y[:0])],
    ):
        assert same(trained(mode, dense(), data), want)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "more", [{}, {"optimizer": "momentum"}, {"optimizer": "adam"}, {"prox_lambda": 0.5}], ids=str
)
def test_sparse_embeddings_are_trained_as_dense_ones(mode: str, more: dict[str, Any]) -> None:
    sparse, other = (trained(mode, looked_up(kind), (WORDS, Y), **more) for kind in (True, False))
    assert same(sparse, other, 1e-5) and not same(sparse, looked_up(True), 1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_is_trained_to_its_precision(mode: str) -> None:
    want = trained(mode, dense(), (X, Y))
    got = trained(mode, dense().bfloat16(), (X.bfloat16(), Y))
    start = max(
        float((a - b).detach().abs().max())
        for a, b in zip(want.parameters(), dense().parameters(), strict=True)
    )
    assert same(got, want, 0.02) and start > 0.04


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((X[:0], Y[:0]), "at least one"),
        ([], "not none"),
        (iter(()), "not none"),
        ((X, Y[:5]), "24 inputs and 5 targets"),
        ([(X, Y, Y)], "not tuple"),
        ([{"x": X, "y": Y}], "not dict"),
        ([(X, Y), (X[:, :4], Y)], r"inputs of the batches differ: float32 \(5,\)"),
        ([(X, Y), (X.double(), Y)], "float32.*and float64"),
        ([(X, Y), (X, Y.float())], "targets of the batches differ"),
        ((X.double(), Y), "network of float32.*inputs of float64"),
        ((X[:, :4], Y), r"inputs of float32 \(2, 4\)"),
        ((X, Y.int()), "targets of int32"),
        ((X, Y + 7), "out of bounds"),
        ((X, Y.float()), "targets of float32"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(data: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        trained("jacobi", dense(), data)
    with pytest.raises(UsageError):
        Frame(dense(), data, data, CE, Options()).evaluate()
