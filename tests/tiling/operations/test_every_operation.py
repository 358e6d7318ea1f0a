"""Every registered operation, on the examples that it gives: tiles equal the whole, in place or not, and so does the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.models.agreement import deviation, probes
from blockzoo.tiling.contracts import OPERATIONS, Example, TileableOperation
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.planning.plan import PlannedStep, cannot_tile, program, tiled_steps
from blockzoo.tiling.runtime.interpreter import Interpreter
from tests.sampled import sampled

X = probes(torch.empty(1, 3, 12, 10))[0]
WITHOUT_EXAMPLES = {
    "quantise": "in files alone",
    "one-of-several": "of operations that no tile goes through, or slices",
}
OTHER_NODES = {"slice": ["written"], "interpolation": ["area"]}
"""Examples that the exporter makes of nodes which are not local."""
EXAMPLES = [(name, example) for name, kind in OPERATIONS.items() for example in kind().examples()]


class Behind(nn.Module):
    """An example behind a convolution."""

    def __init__(self, example: Example) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.example = nn.Conv2d(3, 4, 3, padding=1), example
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.example(self.first(x))
        return made


def in_tiles(network: Network) -> list[PlannedStep]:
    """Three by two of each map that is returned."""
    last = len(network.operations) - 1
    reason = cannot_tile(network, -1, last)
    if reason:
        raise UsageError(reason)
    return program(network, tiled_steps(network, -1, last, (3, 2)), "exact")


def test_every_operation_has_examples() -> None:
    assert {name for name, _ in EXAMPLES} == {*OPERATIONS} - {*WITHOUT_EXAMPLES}
    assert all(issubclass(kind, TileableOperation) and kind.__doc__ for kind in OPERATIONS.values())


def test_a_function_or_a_node_belongs_to_one_operation() -> None:
    made = [kind() for kind in OPERATIONS.values()]
    for names in (
        [name for operation in made for name in operation.functions],
        [name for operation in made for name in operation.nodes],
    ):
        assert len(names) == len({*names})
    for operation in made:
        assert {*operation.functions} >= {*operation.in_place, *operation.layers}
        assert {*operation.nodes} >= {*operation.in_place_nodes}


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
@torch.no_grad()
def test_tiles_are_the_whole_in_place_or_not(name: str, example: str) -> None:
    operation = OPERATIONS[name]()
    model = Behind(operation.examples()[example])
    network = traced(ready(model, X, True), X)
    assert type(operation) in {type(o.tileable) for o in network.operations if o.kind != "whole"}
    parts, interpreter = in_tiles(network), Interpreter(network)
    written = [over for part in parts for over in part.over]
    assert any(written) or example not in operation.in_place
    made = interpreter.outputs(interpreter.values_of([X.clone()], parts))
    assert deviation(model(X), made, types=True) < 1e-5
    for part in parts:
        part.over[:] = [None] * len(part.over)
    assert deviation(made, interpreter.outputs(interpreter.values_of([X.clone()], parts))) == 0


@pytest.mark.parametrize(("name", "example"), sampled(EXAMPLES, 2, unpacked=True))
@torch.no_grad()
def test_the_file_is_the_network_whole_and_in_tiles(name: str, example: str) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from blockzoo.tiling.onnx.export import onnx_layers
    from blockzoo.tiling.onnx.session import outputs
    from blockzoo.tiling.onnx.tiles import tiled_model

    operation = OPERATIONS[name]()
    model = Behind(operation.examples()[example])
    layers, wanted = onnx_layers(model, X), model(X).numpy()
    np.testing.assert_allclose(outputs(layers.model, X.numpy()), wanted, atol=2e-5)
    if operation.nodes and example not in OTHER_NODES.get(name, ()):
        cut = tiled_model(layers.model, layers.network, in_tiles(layers.network))
        assert len(cut.graph.node) > len(layers.model.graph.node)
        np.testing.assert_allclose(outputs(cut, X.numpy()), wanted, atol=2e-5)
