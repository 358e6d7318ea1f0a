"""Which tileable operation a function, a layer or a node is: asked of the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from blockzoo.tiling.contracts import OPERATIONS, MakeLayer, TileableOperation

_objects: dict[type[TileableOperation], TileableOperation] = {}
"""One of each class, which stands for all its calls."""


def operations() -> Iterator[TileableOperation]:
    """Every registered operation."""
    for kind in OPERATIONS.values():
        yield _objects.setdefault(kind, kind())


def by_function() -> Mapping[str, TileableOperation]:
    """Of each function, and of each class of layers that is handed over whole, in small letters."""
    names = {name: operation for operation in operations() for name in operation.functions}
    return names | {kind.__name__.lower(): o for o in operations() for kind in o.whole}


def by_node() -> Mapping[str, TileableOperation]:
    """Of each operator of ONNX."""
    return {name: operation for operation in operations() for name in operation.nodes}


def layers() -> Mapping[str, MakeLayer]:
    """Functions that are run as layers, and what makes these."""
    return {name: make for operation in operations() for name, make in operation.layers.items()}


def whole_layers() -> tuple[type[nn.Module], ...]:
    """Classes of layers that are one operation, whatever they do inside."""
    return tuple(kind for operation in operations() for kind in operation.whole)


def in_place_nodes() -> frozenset[str]:
    """Nodes that ONNX Runtime lets write over an operand of the output's size that nothing reads afterwards."""
    return frozenset(name for operation in operations() for name in operation.in_place_nodes)


def translations() -> dict[Any, Callable[..., Any]]:
    """What torch's exporter does not know, as functions of onnxscript."""
    return {overload: function for o in operations() for overload, function in o.translations().items()}
