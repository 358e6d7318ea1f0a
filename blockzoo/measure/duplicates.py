"""Blocks that are one under two names: equal multiply-adds, and the same operations on maps of the same shapes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx

from blockzoo.blocks.adapters import Maker, adapted
from blockzoo.blocks.lookup import block_class
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject
from blockzoo.measure.costs import measure
from blockzoo.models.scaffold import seeded
from blockzoo.models.tracing import trace

WITHIN = 0.001
"""Of the multiply-adds, up to which they are taken for equal."""
SHAPES = ((64, 64, 1), (64, 128, 2))
"""Input channels, output channels and stride at which blocks are compared: all of these must agree."""
SIDE = 32


@dataclass(frozen=True)
class Twins:
    """Two blocks that compute alike.

    Args:
        names: of both.
        macs: multiply-adds of both at the first of `SHAPES`, on a map of 32 x 32.
    """

    names: tuple[str, str]
    macs: tuple[int, int]


def near_duplicates(names: Iterable[str]) -> list[Twins]:
    """The pairs whose multiply-adds differ by no more than 0.1 % and whose graphs hold the same operations.

    Of a graph that cannot be traced nothing is said; neither of a block that has not these widths.

    Args:
        names: of blocks.

    Raises:
        UsageError: an unknown name.
    """
    makers = {name: adapted(block_class(Subject.parse(name))) for name in names}
    macs = {name: counted for name, maker in makers.items() if (counted := _macs(maker)) is not None}
    graphs: dict[str, list[Counter[Any]] | None] = {}

    def graph(name: str) -> list[Counter[Any]] | None:
        if name not in graphs:
            graphs[name] = _operations(makers[name])
        return graphs[name]

    return [
        Twins((a, b), (macs[a][0], macs[b][0]))
        for a, b in itertools.combinations(sorted(macs), 2)
        if all(abs(x - y) <= WITHIN * max(x, y) for x, y in zip(macs[a], macs[b], strict=True))
        and graph(a) is not None
        and graph(a) == graph(b)
    ]


def _macs(maker: Maker) -> list[int] | None:
    try:
        return [
            int(
                measure(
                    partial(maker, *shape, "mid"), torch.Size((1, shape[0], SIDE, SIDE)), memory=False
                ).quantities["macs"]
            )
            for shape in SHAPES
        ]
    except UsageError:
        return None


def _operations(maker: Maker) -> list[Counter[Any]] | None:
    """For each of `SHAPES` the operations, each with its constants and the shapes of what it reads and makes."""
    try:
        with seeded(0, "duplicates"):
            return [
                Counter(_told(node) for node in _nodes(maker(*shape, "mid").eval(), shape[0]))
                for shape in SHAPES
            ]
    except UsageError:
        return None


def _nodes(block: torch.nn.Module, channels: int) -> list[fx.Node]:
    traced = trace(block, [torch.zeros(1, channels, SIDE, SIDE)])
    return [node for node in traced.graph.nodes if node.op == "call_function"]


def _told(node: fx.Node) -> str:
    arguments = fx.map_arg((node.args, dict(node.kwargs)), _shape)
    return f"{node.target} {arguments} -> {_shape(node)}"


def _shape(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
