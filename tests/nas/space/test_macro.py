"""The space: its numbering, its algebra against explicit graphs, its hashes against independent ones."""

from __future__ import annotations

import csv
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import blockzoo.nas as nas
from blockzoo.core.errors import UsageError
from blockzoo.measure.macs import count_macs
from blockzoo.models.macro import MacroNet
from blockzoo.nas.space.costs import Skeleton, static_info
from blockzoo.nas.space.hashing import all_hashes, hashes_are_cached
from blockzoo.nas.space.published import published_space
from tests.reference import macro_graphs as slow

SPACE = nas.MacroSpace()
GOLDEN = [[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]

cells = st.tuples(st.integers(0, 2), st.integers(0, 2), *[st.integers(0, 1)] * 3)
vectors = st.tuples(cells, cells, cells).map(lambda v: [[[c[0]], list(c[1:])] for c in v])


def test_its_sizes() -> None:
    assert (SPACE.raw_size, SPACE.valid_size, len(SPACE)) == (72**3, 63**3, 45**3)
    assert len(SPACE.cells.vectors) == 72
    assert int((SPACE.cells.unique < 0).sum()) == 9


def test_one_cell_spaces_against_every_graph() -> None:
    """All 72 vectors of one stage: the same classes, in the same order, as by comparing graphs two by two."""
    space = nas.MacroSpace(stages=1)
    classes: list[list[list[list[int]]]] = []
    for arch in slow.all_vectors(1):
        if slow.pruned(arch) is None:
            assert space.index(arch) is None
            continue
        place = next((i for i, c in enumerate(classes) if slow.isomorphic(c, arch)), len(classes))
        classes += [arch] if place == len(classes) else []
        assert space.index(arch) == place
    assert len(classes) == len(space) == 45
    assert [space.arch_vec(i) for i in range(45)] == classes


def test_order_of_first_appearance_over_the_whole_space() -> None:
    seen: dict[int, None] = {}
    flat = np.array(
        [[x for c in a for n in c for x in n] for a in itertools.islice(slow.all_vectors(3), 200_000)]
    )
    for index in SPACE.index(flat).tolist():
        if index >= 0:
            seen.setdefault(index)
    assert list(seen) == list(range(len(seen)))


@settings(max_examples=150, deadline=None)
@given(vectors)
def test_hash_against_the_explicit_graph(arch: slow.Arch) -> None:
    assert SPACE.hash_alone(arch) == slow.hash_of(arch) == SPACE.hash(arch) == nas.get_model_hash(arch)


@settings(max_examples=150, deadline=None)
@given(vectors, vectors)
def test_equal_index_means_equal_graph(a: slow.Arch, b: slow.Arch) -> None:
    mixed = [random.Random(0).choice(pair) for pair in zip(a, b, strict=True)]
    if SPACE.is_valid(a) and SPACE.is_valid(mixed):
        assert (SPACE.index(a) == SPACE.index(mixed)) == slow.isomorphic(a, mixed)


def test_golden_hash() -> None:
    assert nas.get_model_hash(GOLDEN) == "c3bc16e69893c8ea08f1e89e61f4caa5"


def test_all_independent_hashes(oracles: Path) -> None:
    rows = list(csv.DictReader((oracles / "hashes_sample.csv").open()))
    flat = np.array([[int(x) for x in row["arch_vec"].split()] for row in rows])
    want = [row["hash"] if row["hash"] not in ("", "None") else "" for row in rows]
    assert SPACE.hash(flat).tolist() == want
    for row, index in zip(rows, SPACE.index(flat).tolist(), strict=True):
        if row["index"]:
            assert index == int(row["index"])
            assert SPACE.index_of_hash(row["hash"]) == index


def test_all_hashes_differ_and_are_found_again() -> None:
    hashes = nas.MacroSpace().hashes()
    assert hashes.shape == (91_125,) and len(set(hashes.tolist())) == 91_125
    sample = SPACE.sample(500, seed=1)
    assert [SPACE.index_of_hash(h) for h in hashes[sample]] == sample.tolist()
    assert [SPACE.hash_alone(int(i)) for i in sample[:50]] == hashes[sample[:50]].tolist()


def test_cached_hashes_are_checked_and_a_cache_is_a_convenience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Damage is noticed and mended; where nothing can be kept, the hashes come all the same, and that is said."""
    expected = all_hashes(("conv", "mbconv"), 2, 1).copy()
    monkeypatch.setenv("BLOCKZOO_CACHE", str(tmp_path))
    assert (all_hashes(("conv", "mbconv"), 2, 1) == expected).all() and hashes_are_cached(
        ("conv", "mbconv"), 2, 1
    )
    (kept,) = tmp_path.rglob("hashes-*.npy")
    sound = kept.read_bytes()
    for damaged in (sound[:-3], sound[:-40] + bytes([sound[-40] ^ 1]) + sound[-39:], b"", sound[:90]):
        kept.write_bytes(damaged)
        assert not hashes_are_cached(("conv", "mbconv"), 2, 1)
        assert (all_hashes(("conv", "mbconv"), 2, 1) == expected).all() and kept.read_bytes() == sound
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    monkeypatch.setenv("BLOCKZOO_CACHE", str(blocked))
    assert (all_hashes(("conv", "mbconv"), 2, 1) == expected).all()
    assert "computed anew" in caplog.text


def test_ways_of_naming_a_network_agree() -> None:
    for index in SPACE.sample(50, seed=0).tolist():
        arch = SPACE.arch_vec(index)
        flat = [x for c in arch for n in c for x in n]
        names = [
            arch,
            tuple(map(tuple, arch)),
            flat,
            SPACE.hash(index),
            np.int64(index),
            index,
        ]
        assert {SPACE.index(name) for name in names} == {index}
        assert SPACE.canonical(index) == arch
    many = SPACE.sample(1000, seed=2)
    assert np.array_equal(SPACE.index(SPACE.vectors(many)), many)
    assert np.array_equal(SPACE.index(SPACE.vectors(many).astype(np.uint8)), many)


def test_multiplicities_against_counting() -> None:
    space = nas.MacroSpace(stages=2)
    counted = Counter(space.index(arch) for arch in slow.all_vectors(2))
    assert counted.pop(None) == 72**2 - 63**2
    assert counted == {index: space.multiplicity(index) for index in range(len(space))}


def test_neighbours_are_mutual_and_one_coordinate_away() -> None:
    for index in SPACE.sample(5, seed=3).tolist():
        for other in SPACE.neighbours(index):
            assert index in SPACE.neighbours(other)
            assert (SPACE.digits(index) != SPACE.digits(other)).sum() == 1
    cells = nas.MacroSpace(stages=1)
    direct = {
        (cells.index(a), cells.index(b))
        for a in slow.all_vectors(1)
        for b in slow.all_vectors(1)
        if sum(x != y for x, y in zip(a[0][0] + a[0][1], b[0][0] + b[0][1], strict=True)) == 1
    }
    for index in range(45):
        assert set(cells.neighbours(index)) == {b for a, b in direct if a == index and b not in (None, index)}


def test_other_operations_nodes_and_stages() -> None:
    space = nas.MacroSpace(("conv", "InvertedResidual"), nodes=3, stages=2)
    assert len(space) == len(space.cells) ** 2
    for index in space.sample(30, seed=0).tolist():
        assert space.index(space.arch_vec(index)) == index
    lone = [[[0], [1, 0, 0, 0], [1, 0, 0, 1, 0]]] * 2  # only the third node is on a path
    same = [[[1], [0, 0, 0, 0], [1, 0, 0, 1, 0]]] * 2
    assert space.index(lone) == space.index(same)


@pytest.mark.parametrize(
    "wrong",
    [
        [[[0], [1, 1, 1]]] * 3,
        [[[3], [0, 1, 1, 1]]] * 3,
        [[[0], [0, 2, 0, 0]]] * 3,
        91_125,
        -1,
        "xyz",
        1.5,
        None,
        [],
        {"a": 1},
    ],
)
def test_what_is_no_architecture_says_what_is(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"network|vector|architecture|coordinate|hash"):
        SPACE.index(wrong)
    assert not SPACE.is_valid(wrong)


def test_a_cell_without_a_path_has_neither_index_nor_hash() -> None:
    dead = [[[0], [0, 0, 0, 0]], *GOLDEN[1:]]
    assert SPACE.index(dead) is None and SPACE.hash(dead) is None and nas.get_model_hash(dead) is None
    with pytest.raises(UsageError, match="no path"):
        SPACE.arch_vec(dead)


def test_bad_rows_in_an_array_are_named() -> None:
    rows = SPACE.vectors(np.arange(5)).astype(int)
    rows[3, 1] = 9
    with pytest.raises(UsageError, match="row 3"):
        SPACE.index(rows)


@pytest.mark.slow
def test_random_and_unique_architectures() -> None:
    drawn = nas.get_random_architectures(20, seed=5)
    assert drawn == nas.get_random_architectures(20, seed=5) != nas.get_random_architectures(20, seed=6)
    assert len({str(a) for a in drawn}) == 20
    everything = nas.get_unique_architectures()
    assert len(everything) == 91_125 and everything[12_345] == SPACE.arch_vec(12_345)


def test_graphs_and_their_hashes() -> None:
    graph = nas.graph_of(GOLDEN)
    assert nas.hash_of_graph(graph) == nas.get_model_hash(GOLDEN)
    with pytest.raises(UsageError, match="label"):
        nas.hash_of_graph("no graph")


@pytest.mark.parametrize(
    ("skeleton", "says"),
    [
        ({"width": 0}, "width 0"),
        ({"width": 2.5}, "width 2.5"),
        ({"image_size": -4, "num_classes": True}, "num_classes True, image_size -4"),
        ({"width": 1}, "width 1: bconv has half of the channels"),
        ({"image_size": 7}, "image size 7: 3 stages halve it, so give 8"),
    ],
)
def test_a_skeleton_that_cannot_be_built_is_refused_in_words(skeleton: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        static_info(skeleton=Skeleton(**skeleton))


def test_the_smallest_skeleton_is_as_the_network_that_is_built() -> None:
    params, macs = static_info(skeleton=Skeleton(width=2, num_classes=3, image_size=8))
    network = MacroNet(published_space().arch_vec(12345), num_classes=3, width=2)
    assert params[12345] == sum(p.numel() for p in network.parameters())
    assert macs[12345] == count_macs(network.eval(), torch.zeros(1, 3, 8, 8))
