"""Effects of operations: planted ones are seen again, and those of `mini` are a library's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.loading import open_benchmark
from blockzoo.nas.ranking.operations import KIN, operation_effects
from blockzoo.nas.space.cells import live_nodes
from blockzoo.nas.space.macro import MacroSpace


class World:
    """A dataset of as many networks as are needed here."""

    space = MacroSpace()

    def __init__(self, accuracies: Any, indices: Any) -> None:
        self.accuracies = {
            f"{int(index)}": float(value) for index, value in zip(indices, accuracies, strict=True)
        }

    def __iter__(self) -> Iterator[list[str]]:
        return iter([[name] for name in self.accuracies])

    def arch_vec(self, name: str) -> Any:
        return self.space.arch_vec(int(name))

    def test_acc(self, name: str, seed: str) -> float:
        return self.accuracies[name]


def counts_of(vector: Any) -> list[int]:
    """Live nodes of each operation in each stage of a network."""
    space, made = MacroSpace(), []
    for cell in vector:
        flat = [value for node in cell for value in node]
        live = live_nodes(flat, space.nodes)
        operations = [node[0] for place, node in enumerate(cell, 1) if place in live]
        made += [operations.count(op) for op in range(len(space.ops))]
    return made


def test_planted_effects_are_seen_again() -> None:
    draw = np.random.default_rng(0)
    indices = draw.choice(len(MacroSpace()), 400, replace=False)
    true = draw.normal(0, 2, 9)
    nodes = np.array([counts_of(MacroSpace().arch_vec(int(index))) for index in indices])
    made = operation_effects(World(70 + nodes @ true + draw.normal(0, 0.5, 400), indices))
    assert made.degrees == 390 and made.networks == 400 and made.explained > 0.9
    effects, errors = (np.array(list(of.values())) for of in (made.effects, made.errors))
    assert list(made.effects)[:4] == [("conv", 0), ("mbconv", 0), ("bconv", 0), ("conv", 1)]
    assert np.abs((100 * effects - true) / (100 * errors)).max() < 3.5 and (100 * errors).max() < 0.2


def test_those_of_mini_one_effect_at_a_time() -> None:
    """By Frisch's and Waugh's theorem: what is left of the accuracies against what is left of one count, others accounted for."""
    dataset = open_benchmark("mini")
    made = operation_effects(dataset)
    vectors = [dataset.arch_vec(row[0]) for row in dataset]
    nodes = np.array([counts_of(vector) for vector in vectors], float)
    values = np.array([dataset.test_acc(row[0], seed="mean") for row in dataset]) / 100
    for place, cell in enumerate(made.effects):
        others = np.column_stack([np.ones(len(nodes)), np.delete(nodes, place, 1)])
        own, left = (
            y - others @ np.linalg.lstsq(others, y, rcond=None)[0] for y in (nodes[:, place], values)
        )
        slope = float(own @ left) / float(own @ own)
        error = np.sqrt(((left - slope * own) ** 2).sum() / (len(values) - 10) / float(own @ own))
        assert made.effects[cell] == pytest.approx(slope) and made.errors[cell] == pytest.approx(error)
    assert made.networks == 300 and made.degrees == 290


def test_too_few_networks_are_refused() -> None:
    indices = np.arange(8)
    with pytest.raises(UsageError, match="8 networks do not tell 9 effects apart"):
        operation_effects(World(np.full(8, 70.0), indices))


def test_kin_are_blocks_of_the_zoo() -> None:
    assert set(KIN) == set(MacroSpace().ops) and all(block in BLOCKS for block in KIN.values())
