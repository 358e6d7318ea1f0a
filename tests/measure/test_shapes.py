"""The short answers equal torch's own on meta tensors: shapes, types and bytes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

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


class Attention(nn.Module):
    """Every form in which torch's attention is called: what a CPU keeps for it differs."""

    def __init__(self, form):
        super().__init__()
        self.form, self.mix = form, nn.Linear(16, 48)

    def forward(self, x):
        q, k, v = self.mix(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4).unbind(0)
        return torch.cat(list(self.attended(q, k, v)), -1)

    def attended(self, q, k, v):
        causal = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).tril()
        match self.form:
            case "plain":
                yield F.scaled_dot_product_attention(q, k, v)
            case "by name":
                yield F.scaled_dot_product_attention(query=q, key=k, value=v)
            case "causal":
                yield F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5)
            case "a mask of yes and no":
                yield F.scaled_dot_product_attention(q, k, v, attn_mask=causal)
            case "a mask that is added":
                yield F.scaled_dot_product_attention(q, k, v, causal.to(q.dtype))
            case "dropout":
                yield F.scaled_dot_product_attention(q, k, v, dropout_p=0.5 if self.training else 0.0)
            case "shared keys":
                yield F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)
            case "other values":
                yield F.scaled_dot_product_attention(q, k, v[..., :4])
            case "columns":
                transposed = (t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in (q, k, v))
                yield F.scaled_dot_product_attention(*transposed)


FORMS = ("plain", "by name", "causal", "a mask of yes and no", "a mask that is added", "dropout", "shared keys",
         "other values", "columns")  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_memory_of_attention_is_that_of_a_cpu(form):
    def memory(device):
        with torch.device(device):
            module, x = Attention(form), torch.empty(2, 33, 16)
        return saved_for_backward(module.train(), x), peak_memory(module.eval(), x)

    expected = memory("cpu")
    with ShapesOnly():
        assert memory("meta") == expected
