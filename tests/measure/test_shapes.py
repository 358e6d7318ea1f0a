"""The short answers equal torch's own on meta tensors: shapes, types and bytes."""

import pytest
import torch
from torch import nn

from blockzoo.core.contracts import BLOCKS
from blockzoo.measure.memory import peak_memory, saved_for_backward
from blockzoo.measure.shapes import POINTWISE, POINTWISE_IN_PLACE, ShapesOnly

EVERY_BLOCK = BLOCKS.names(variants=True)


def signature(result):
    return [(t.shape, t.dtype, t.stride(), t.device.type) for t in torch.utils._pytree.tree_leaves(result)]


def call(operation, *arguments):
    return signature(operation(*arguments))


@pytest.mark.parametrize("operation", sorted(POINTWISE | POINTWISE_IN_PLACE, key=str), ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_pointwise(operation, dtype):
    count = sum(a.name in ("self", "other") for a in operation._schema.arguments)
    x = torch.empty(2, 4, 6, 6, dtype=dtype, device="meta")
    for other in (
        x,
        torch.empty(2, 4, 1, 1, device="meta"),
        torch.empty(6, dtype=torch.float64, device="meta"),
    ):
        arguments = (x, other)[:count]
        try:
            expected = call(operation, *arguments)
        except (RuntimeError, NotImplementedError):  # torch refuses the types; so must we
            with pytest.raises((RuntimeError, NotImplementedError)), ShapesOnly():
                call(operation, *arguments)
            continue
        with ShapesOnly():
            assert call(operation, *arguments) == expected


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_as_on_a_real_tensor(training):
    """Torch's decomposition for meta tensors returns statistics in evaluation too; its kernels return none."""
    results = []
    for device in ("cpu", "meta"):
        norm = nn.BatchNorm2d(8, device=device)
        x = torch.empty(2, 8, 5, 5, device=device).to(memory_format=torch.channels_last)
        state = (norm.weight, norm.bias, norm.running_mean, norm.running_var, training, 0.1, 1e-5)
        with ShapesOnly():
            results.append(torch.ops.aten.native_batch_norm.default(x, *state))
    assert [(t.shape, t.dtype, t.stride()) for t in results[0]] == [
        (t.shape, t.dtype, t.stride()) for t in results[1]
    ]


@pytest.mark.parametrize("name", EVERY_BLOCK)
def test_memory_of_a_block_is_that_of_real_tensors(name):
    def memory(device):
        with torch.device(device):
            block = BLOCKS[name](16, 32, 2, "mid")
            x = torch.empty(2, 16, 16, 16)
        return saved_for_backward(block.train(), x), peak_memory(block.eval(), x)

    expected = memory("cpu")
    with ShapesOnly():
        assert memory("meta") == expected
