"""`celled:16:BLOCK`: the block as the one node of each cell of a network of the macro space."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.macro import Cell, MacroNet
from blockzoo.models.resolve import build_network
from blockzoo.nas.space.published import published_space
from blockzoo.nas.training.cells import cell_of_one
from blockzoo.profile import profile_block


@pytest.mark.parametrize("operation", ["conv", "mbconv", "bconv"])
def test_a_cell_of_one_node_is_that_node(operation: str) -> None:
    network = build_network(NetworkSpec(f"macro:{cell_of_one(operation)}@4"), seed=0).eval()
    x, cell = torch.randn(2, 4, 8, 8), network.blocks[1]  # type: ignore[index, union-attr]
    assert isinstance(cell, Cell)
    nodes = list(cell.nodes.values())
    assert len(nodes) == 1 and torch.equal(cell(x), nodes[0](x))


def test_the_block_is_all_there_is_in_each_cell() -> None:
    network = build_network(NetworkSpec("celled:8:ResNetBasicBlock"), seed=0).eval()
    assert isinstance(network, MacroNet)
    cells = [block for block in network.blocks if isinstance(block, Cell)]
    assert [type(node).__name__ for cell in cells for node in cell.nodes.values()] == ["ResNetBasicBlock"] * 3
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    costs = profile_block("celled:8:ResNetBasicBlock", input_shape=(1, 3, 16, 16)).network
    around = profile_block(f"macro:{cell_of_one('conv')}@8", input_shape=(1, 3, 16, 16)).network
    # a node conv is four convolutions 3x3, the block two: all else is the same
    convolutions = [9 * (8 * 2**s) ** 2 * (16 // 2**s) ** 2 for s in range(3)]
    assert around.macs - costs.macs == 2 * sum(convolutions)


def test_its_code_is_in_its_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text((Path(__file__).parents[1] / "my_custom_block.py").read_text())
    subject = Subject.parse(f"celled:8:{file}:MyCustomBlock")
    assert not subject.is_block and subject.innermost.is_block and subject.own_origin == str(file)
    assert NetworkSpec(str(subject)).identity()["source"] == subject.innermost.source_digest()


@pytest.mark.parametrize(
    "subject",
    [
        "celled:RepMixer",
        "celled:0:RepMixer",
        "celled:wide:RepMixer",
        "celled:8:RepMixer/mid",
        "celled:8:timm:resnet18",
    ],
)
def test_what_is_no_block_in_a_cell_is_refused(subject: str) -> None:
    with pytest.raises(UsageError):
        build_network(NetworkSpec(subject))


def test_operations_are_those_of_the_space() -> None:
    with pytest.raises(UsageError, match="conv, mbconv, bconv"):
        cell_of_one("pool")
    assert {cell_of_one(op) for op in published_space().ops} <= set(range(len(published_space())))
