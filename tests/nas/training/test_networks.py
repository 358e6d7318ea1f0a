"""Networks of the space: their size against independent counts and against the formula, their shape, their blocks."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blockzoo.nas as nas
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.measure.costs import measure, total
from blockzoo.models.macro import MacroNet
from blockzoo.models.resolve import build_network
from tests.sampled import sampled

GOLDEN = [[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]


def test_every_independent_count(oracles: Path) -> None:
    params, macs = nas.static_info()
    assert params.shape == macs.shape == (91_125,)
    space, rows = nas.MacroSpace(), list(csv.DictReader((oracles / "static_sample.csv").open()))
    for row in rows:
        index = int(space.index(np.array([[int(x) for x in row["arch_vec"].split()]]))[0])
        assert space.hash(index) == row["hash"]
        assert params[index] == int(row["params_trainable"])
        assert macs[index] == int(row["flopcounter_macs_conv_linear"])
    for row in rows[:5]:
        network = nas.build(row["hash"])
        assert sum(p.numel() for p in network.parameters()) == int(row["params_trainable"])
        assert str(tuple(network(torch.zeros(1, 3, 32, 32)).shape)) == "(1, 100)"


@pytest.mark.parametrize(
    ("width", "size", "cells", "classes"),
    sampled([(32, 32, 1, 100), (8, 16, 1, 10), (6, 15, 2, 7)], [(8, 16, 1, 10)], unpacked=True),
)
def test_the_formula_against_networks_that_were_built(
    width: int, size: int, cells: int, classes: int
) -> None:
    space = nas.MacroSpace()
    params, macs = nas.static_info(space, nas.Skeleton(width, cells, classes, size))
    for index in space.sample(4, seed=width).tolist():
        network = measure(
            lambda index=index: nas.build(index, classes, width=width, cells_per_stage=cells),
            (1, 3, size, size),
            memory=False,
        )
        costs = total([network])
        assert (costs.params_trained, costs.macs) == (params[index], macs[index])


def test_a_space_of_blocks_of_the_zoo() -> None:
    space = nas.MacroSpace(("conv", "InvertedResidual"), stages=2)
    params, macs = nas.static_info(space, nas.Skeleton(width=8, num_classes=5, image_size=16))
    for index in space.sample(3, seed=0).tolist():
        network = nas.build(index, 5, space=space, width=8)
        assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
        assert sum(p.numel() for p in network.parameters()) == params[index]
        measured = measure(
            lambda index=index: nas.build(index, 5, space=space, width=8), (1, 3, 16, 16), memory=False
        )
        assert total([measured]).macs == macs[index]


def test_features_are_the_inputs_and_outputs_of_blocks() -> None:
    network = nas.build(GOLDEN, 10, width=8, seed=0).eval()
    x = torch.randn(2, 3, 32, 32)
    logits, features = network(x, return_features=True)
    assert len(features) == len(network.blocks) == 8
    assert torch.equal(features[0][0], x) and torch.equal(features[-1][1], logits)
    for (_, output), (following, _) in pairwise(features):
        assert output is following
    for block in network.blocks:
        x = block(x)
    assert torch.equal(x, logits) and torch.equal(network(features[0][0]), logits)


def test_one_cell_by_hand() -> None:
    """sum = node 2(node 1(x) + x) + node 1(x), with operations that can be seen."""
    double, square = (lambda c: _Apply(lambda x: 2 * x)), (lambda c: _Apply(lambda x: x * x))
    from blockzoo.models.macro import Cell

    x = torch.tensor([1.0, 3.0])
    assert torch.equal(Cell([[0], [1, 1, 1, 1]], [double, square], 1)(x), (2 * x + x) ** 2 + 2 * x)
    assert torch.equal(Cell([[0], [1, 0, 1, 1]], [double, square], 1)(x), x**2 + 2 * x)
    assert torch.equal(Cell([[0], [1, 0, 0, 1]], [double, square], 1)(x), 2 * x)
    assert torch.equal(
        Cell([[1], [0, 1, 0, 0]], [double, square], 1, doubled_input=True)(x), 2 * (2 * x) ** 2
    )
    with pytest.raises(ValueError, match="nothing leads"):
        Cell([[0], [1, 0, 0, 0]], [double, square], 1)


class _Apply(torch.nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)  # type: ignore[operator,no-any-return]


def test_isomorphic_vectors_compute_the_same_with_the_same_weights() -> None:
    """A parallel pair in either order: weights exchanged, equal outputs."""
    a = nas.build([[[0], [1, 0, 1, 1]]] * 3, 10, width=8, seed=0).eval()
    b = nas.build([[[1], [0, 0, 1, 1]]] * 3, 10, width=8, seed=1).eval()
    state = {}
    for name, value in a.state_dict().items():
        swapped = (
            name.replace(".nodes.1.", ".nodes.X.")
            .replace(".nodes.2.", ".nodes.1.")
            .replace(".nodes.X.", ".nodes.2.")
        )
        state[swapped] = value
    b.load_state_dict(state)
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(a(x), b(x))


def test_one_seed_gives_one_network() -> None:
    first, again, other = (nas.build(77, 10, width=8, seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_macro_subjects() -> None:
    by_index = build_network(NetworkSpec("macro:1234@8", out_dim=10), seed=3)
    by_hash = build_network(NetworkSpec(f"macro:{nas.MacroSpace().hash(1234)}@8", out_dim=10), seed=3)
    assert isinstance(by_index, MacroNet) and isinstance(by_hash, MacroNet)
    assert by_index.arch_vec == by_hash.arch_vec
    assert by_index(torch.zeros(1, 3, 16, 16)).shape == (1, 10)


@pytest.mark.parametrize("options", [{"width": 0}, {"cells_per_stage": 0}, {"num_classes": 0}])
def test_sizes_must_be_positive(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        nas.build(0, **options)


@pytest.mark.parametrize(
    "size", [{"width": 2.5}, {"num_classes": True}, {"cells_per_stage": "2"}, {"in_channels": 0}]
)
def test_sizes_that_are_no_counts_are_refused(size: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(size))} .*: give a whole number of 1 or more"):
        nas.build(GOLDEN, **size)


def test_the_early_release_doubled_the_input_of_cells() -> None:
    x = torch.randn(2, 3, 32, 32)
    network = nas.build(GOLDEN, 10, width=8, seed=0).eval()
    plain = network(x)
    assert not torch.allclose(nas.with_doubled_input(network)(x), plain)
    with pytest.raises(UsageError, match="no cells"):
        nas.with_doubled_input(torch.nn.Linear(2, 2))
