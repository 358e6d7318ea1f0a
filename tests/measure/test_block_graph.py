"""The graph of a block holds all that is computed, and the picture all of the graph."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.measure.block_graph import BlockGraph, block_graph
from blockzoo.report.pictures.block_graph import _height, _Layout, _width, draw_block

SOME = (
    "ResNetBasicBlock",
    "ShuffleNetV2Block",
    "MobileOneBlock",
    "GhostBottleneckV3",
    "MobileViTBlock",
    "DenseNetBlock",
)
UNTRACED = {"EfficientViTMITBlock": "autocast"}
"""Blocks whose graph cannot be traced, and a word of the reason."""


def lines(graph: BlockGraph) -> list[list[str]]:
    return [box.lines for box in graph.boxes]


def test_the_lines_of_known_blocks() -> None:
    assert lines(block_graph("InvertedResidual")) == [
        ["input"], ["conv 1×1, 64 → 384", "batch norm", "ReLU6"], ["depthwise conv 3×3, 384", "batch norm", "ReLU6"],
        ["conv 1×1, 384 → 64", "batch norm"], ["+"], ["output"],
    ]  # fmt: skip
    graph = block_graph("ResNetBasicBlock", out_channels=128, stride=2)
    assert ["conv 1×1, 64 → 128, stride 2", "batch norm"] in lines(graph)
    assert graph.boxes[-1].shape == (128, 16, 16) and graph.boxes[0].shape == (64, 32, 32)
    assert sum(line == "+" for box in lines(graph) for line in box) == 1


def test_what_is_read_twice_ends_a_box() -> None:
    """A pre-activation block adds what its first ReLU did not see, or what it made: whichever it is stands alone."""
    graph = block_graph("PreActBasicBlock")
    (last,) = graph.boxes[-1].sources
    assert graph.boxes[last].lines[0] == "+" and 0 in graph.boxes[last].sources


def check(graph: BlockGraph) -> None:
    for number, box in enumerate(graph.boxes):
        assert all(source < number for source in box.sources) and (box.sources or number == 0)
    read = {source for box in graph.boxes for source in box.sources}
    assert set(range(len(graph.boxes) - 1)) == read, "a box that nothing reads"
    layout = _Layout(graph.boxes)
    places = [
        (
            layout.middle[n] - _width(box) / 2,
            layout.middle[n] + _width(box) / 2,
            layout.tops[n],
            layout.tops[n] + _height(box),
        )
        for n, box in enumerate(graph.boxes)
    ]
    for a, b in itertools.combinations(places, 2):
        assert a[1] <= b[0] + 1e-9 or b[1] <= a[0] + 1e-9 or a[3] <= b[2] + 1e-9 or b[3] <= a[2] + 1e-9, (
            "boxes overlap"
        )
    assert all(layout.left <= left and right <= layout.left + layout.width for left, right, _, _ in places)
    assert all(top >= 0 and foot <= layout.height for _, _, top, foot in places)
    for number, box in enumerate(graph.boxes):
        for source in box.sources:
            heights = [y for _, y in layout.way(source, number)]
            assert heights == sorted(heights)


@pytest.mark.parametrize("name", SOME)
def test_graphs_are_whole_and_boxes_apart(name: str) -> None:
    check(block_graph(name))


@pytest.mark.slow
def test_every_block_of_the_zoo_has_a_graph_or_a_reason() -> None:
    for name in BLOCKS.names():
        if name in UNTRACED:
            with pytest.raises(UsageError, match=UNTRACED[name]):
                block_graph(name)
        else:
            check(block_graph(name))


def test_the_command_writes_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        path = tmp_path / f"block.{suffix}"
        assert main(["blocks", "FireModule", "--picture", str(path)]) == 0
        assert path.read_bytes().startswith(start) and f"block.{suffix}" in capsys.readouterr().out
    assert main(["blocks", "--picture", str(tmp_path / "none.svg")]) == 2
    assert "name it" in capsys.readouterr().err


def test_bad_input_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no block"):
        block_graph("torchvision:resnet18")
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        draw_block(block_graph("FireModule"), tmp_path / "block.txt")
