"""The short answers equal torch's own on meta tensors: shapes, types and bytes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.contracts import BLOCKS
from blockzoo.measure.memory import peak_memory, saved_for_backward
from blockzoo.measure.shapes import POINTWISE, POINTWISE_IN_PLACE, ShapesOnly
from tests.sampled import sampled

EVERY_BLOCK = BLOCKS.names(variants=True)


DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool,
          torch.complex64, torch.complex128)  # fmt: skip
NUMBERS = (True, False, 2, 2.5, 1j)
REFUSED = (RuntimeError, NotImplementedError)


def laid_out(dtype, device):
    """Tensors in every layout that maps, vectors and numbers come in."""

    def ones(*sides):
        return torch.ones(sides, dtype=dtype, device=device)

    channels_last = torch.channels_last
    return {
        "map": ones(2, 4, 6, 5),
        "channels last": ones(2, 4, 6, 5).to(memory_format=channels_last),
        "one by one": ones(2, 4, 1, 1),
        "one by one, channels last": ones(2, 4, 1, 1).to(memory_format=channels_last),
        "row": ones(5),
        "number": ones(),
        "transposed": ones(2, 4, 5, 6).transpose(2, 3),
        "every other": ones(2, 4, 12, 10)[:, :, ::2, ::2],
        "expanded": ones(2, 1, 6, 5).expand(2, 4, 6, 5),
        "one image": ones(1, 1, 6, 5),
        "one": ones(1),
        "volume": ones(1, 2, 4, 6, 5),
        "another size": ones(3),
        "half, channels last": ones(2, 8, 6, 5).to(memory_format=channels_last)[:, :4],
        "empty": ones(0, 4, 6, 5),
    }


def answer(operation, *arguments, **options):
    """Sides, types and strides of the results; "refused"."""
    try:
        out = operation(*arguments, **options)
    except REFUSED:
        return "refused"
    return [(tuple(t.shape), t.dtype, t.stride()) for t in torch.utils._pytree.tree_leaves(out)]


def check_as_on_a_cpu(operation, dtype, others, layouts):
    """One operation for tensors of a type, with numbers and with tensors of other types."""
    operands = sum(a.name in ("self", "other") for a in operation._schema.arguments)
    real, paper = laid_out(dtype, "cpu"), laid_out(dtype, "meta")
    seconds = [((), ())]
    if operands == 2:
        seconds = [((number,), (number,)) for number in NUMBERS]
        for other in others:
            on_cpu, on_meta = laid_out(other, "cpu"), laid_out(other, "meta")
            seconds += [((on_cpu[name],), (on_meta[name],)) for name in layouts]
            seconds.append(((on_cpu["number"],), (on_cpu["number"],)))
    tried = 0
    for name in layouts:
        if dtype.itemsize == 2 and name == "expanded":  # torch's own strides differ from those of a CPU
            continue
        for on_cpu, on_meta in seconds:
            expected = answer(operation, real[name], *on_cpu)
            with ShapesOnly():
                assert answer(operation, paper[name], *on_meta) == expected, (name, on_cpu)
            tried += 1
    return tried


OPERATIONS = sorted(POINTWISE | POINTWISE_IN_PLACE, key=str)


@pytest.mark.filterwarnings("ignore:.*support is experimental")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_pointwise_is_typed_and_laid_out_as_on_a_cpu(operation, dtype):
    layouts = ("map", "channels last", "one by one", "number")
    others = {torch.float32, torch.float64, torch.int64, torch.complex64, dtype}
    assert check_as_on_a_cpu(operation, dtype, sorted(others, key=str), layouts)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*support is experimental")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_pointwise_in_every_layout(operation, dtype):
    assert check_as_on_a_cpu(operation, dtype, DTYPES, tuple(laid_out(torch.bool, "meta")))


@pytest.mark.parametrize("alpha", [2, 2.5, True, 1j], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.complex64], ids=str)
def test_pointwise_with_a_factor(dtype, alpha):
    for operation in (torch.add, torch.sub):
        expected = answer(operation, *[torch.ones(2, 3, dtype=dtype)] * 2, alpha=alpha)
        x = torch.ones(2, 3, dtype=dtype, device="meta")
        with ShapesOnly():
            assert answer(operation, x, x, alpha=alpha) == expected


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("of_weights", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_batch_norm_as_on_a_real_tensor(dtype, of_weights, training):
    """Torch's decomposition for meta tensors returns statistics in evaluation too; its kernels return none."""
    layouts = [name for name, x in laid_out(dtype, "meta").items() if x.ndim > 1 and x.shape[1] == 4]
    assert len(layouts) == 9
    for name in layouts:
        results = []
        for device in ("cpu", "meta"):
            norm = nn.BatchNorm2d(4, device=device, dtype=of_weights)
            state = (norm.weight, norm.bias, norm.running_mean, norm.running_var, training, 0.1, 1e-5)
            x = laid_out(dtype, device)[name]
            with ShapesOnly():
                results.append(answer(torch.ops.aten.native_batch_norm.default, x, *state))
        assert results[0] == results[1] or (name == "empty" and training), name


@pytest.mark.parametrize("name", sampled(EVERY_BLOCK, 25))
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
