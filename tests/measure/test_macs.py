"""Multiply-adds against counts by hand, on the meta device and on real tensors; what nobody can count is named."""

from __future__ import annotations

import ctypes
import inspect
import math
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import flop_registry, register_flop_formula
from torchvision.ops import DeformConv2d, deform_conv2d, nms, roi_align

from blockzoo.cli.app import run
from blockzoo.core.errors import UsageError
from blockzoo.measure.macs import MacCounter, counting
from blockzoo.models.copying import on_meta
from blockzoo.profile import get_model_profile, profile_block


class Lambda(nn.Module):
    """A function of one image as a network, with a weight of any shape."""

    def __init__(self, function: Callable[..., torch.Tensor], *shape: int) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.weight)


def bags(x: torch.Tensor, table: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    rows = torch.arange(192, device=x.device).expand(len(x), -1) % 9
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


def complex_layer(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return nn.Conv2d(3, 4, 3, dtype=torch.complex64, device=x.device)(x.to(torch.complex64))


x = (2, 3, 8, 8)
BY_HAND = {
    "matrix @ vector": (Lambda(lambda x, w: w @ x.flatten(), 10, 384), 10 * 384),
    "torch.mv": (Lambda(lambda x, w: torch.mv(w, x.flatten()), 10, 384), 10 * 384),
    "addmv": (Lambda(lambda x, w: torch.addmv(w[:, 0], w, x.flatten()), 10, 384), 10 * 384),
    "dot": (Lambda(lambda x, w: torch.dot(w, x.flatten()), 384), 384),
    "addmm_": (Lambda(lambda x, w: x.new_zeros(2, 5).addmm_(x.flatten(1), w), 192, 5), 2 * 192 * 5),
    "bmm": (Lambda(lambda x, w: torch.bmm(x.flatten(2), w), 2, 64, 7), 2 * 3 * 64 * 7),
    "baddbmm": (Lambda(lambda x, w: torch.baddbmm(w[:, :3], x.flatten(2), w), 2, 64, 7), 2 * 3 * 64 * 7),
    "addbmm": (Lambda(lambda x, w: torch.addbmm(w[0, :3], x.flatten(2), w), 2, 64, 7), 2 * 3 * 64 * 7),
    "einsum": (Lambda(lambda x, w: torch.einsum("bchw,cd->bdhw", x, w), 3, 5), 2 * 64 * 3 * 5),
    "einsum, no sum of products": (Lambda(lambda x, w: torch.einsum("bchw,c->bchw", x, w), 3), 0),
    "linear": (nn.Linear(8, 5), 2 * 3 * 8 * 8 * 5),
    "bilinear": (Lambda(lambda x, w: F.bilinear(x.flatten(1), x[:, 0, 0], w), 5, 192, 8), 2 * 5 * 192 * 8 + 2 * 5 * 8),
    "convolution": (nn.Conv2d(3, 4, 3), 2 * 36 * 4 * 27),
    "grouped": (nn.Conv2d(3, 6, 3, groups=3), 2 * 36 * 6 * 9),
    "1d": (Lambda(lambda x, w: F.conv1d(x.flatten(2), w), 4, 3, 5), 2 * 60 * 4 * 15),
    "3d": (Lambda(lambda x, w: F.conv3d(x[:, None], w), 4, 1, 2, 3, 3), 2 * 2 * 36 * 4 * 18),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), 2 * 64 * 3 * 4 * 9),
    "transposed, grouped": (nn.ConvTranspose2d(3, 6, 3, groups=3), 2 * 64 * 3 * 2 * 9),
    "over time": (Lambda(lambda x, w: torch.conv_tbc(x.flatten(2), w, w[0, 0]), 2, 64, 7), 1 * 3 * 2 * 64 * 7),
    "deformable": (Lambda(lambda x, w: deform_conv2d(x, x.new_zeros(2, 18, 6, 6), w), 4, 3, 3, 3), 2 * 36 * 4 * 27),
    "deformable, grouped": (
        Lambda(lambda x, w: deform_conv2d(x, x.new_zeros(2, 18, 6, 6), w), 6, 1, 3, 3), 2 * 36 * 6 * 9,
    ),
    "attention": (Lambda(lambda x, w: F.scaled_dot_product_attention(x, x, x)), 2 * 2 * 3 * 8 * 8 * 8),
    "attention with a mask": (
        Lambda(lambda x, w: F.scaled_dot_product_attention(x, x, x, attn_mask=w), 8, 8), 2 * 2 * 3 * 8 * 8 * 8,
    ),
    "distances": (Lambda(lambda x, w: torch.cdist(x.flatten(2), w), 2, 5, 64), 2 * 3 * 5 * 64),
    "distances of many": (Lambda(lambda x, w: torch.cdist(x.flatten(0, 2)[:, :1], w), 30, 1), 48 * 30),
    "no product": (Lambda(lambda x, w: torch.cdist(x.flatten(2), w, p=1), 2, 5, 64), 0),
    "free": (
        Lambda(lambda x, w: F.interpolate(F.max_pool2d(F.gelu(x.softmax(1)), 2), scale_factor=2, mode="bilinear")), 0,
    ),
    "grid sample": (Lambda(lambda x, w: F.grid_sample(x, w, align_corners=False), 2, 5, 5, 2), 0),
    "norms": (nn.Sequential(nn.BatchNorm2d(3), nn.GroupNorm(3, 3), nn.LayerNorm(8)), 0),
    "vecdot": (Lambda(lambda x, w: torch.linalg.vecdot(x.flatten(1), w), 192), 2 * 192),
    "vecdot of two vectors": (Lambda(lambda x, w: torch.linalg.vecdot(x.flatten(), w), 384), 384),
    "weighted bags": (Lambda(lambda x, w: bags(x, w, x.flatten(1)), 9, 5), 2 * 192 * 5),
    "bags": (Lambda(lambda x, w: bags(x, w, None), 9, 5), 0),
    "complex linear": (Lambda(lambda x, w: (x * 1j) @ (w * 1j), 8, 5), 4 * 2 * 24 * 8 * 5),
    "complex convolution": (Lambda(lambda x, w: F.conv2d(x * 1j, w * 1j), 4, 3, 3, 3), 4 * 2 * 36 * 4 * 27),
    "complex layer": (Lambda(complex_layer), 4 * 2 * 36 * 4 * 27),
    "complex transposed": (Lambda(lambda x, w: F.conv_transpose2d(x * 1j, w * 1j), 3, 4, 3, 3), 4 * 2 * 64 * 3 * 4 * 9),
    "complex vector": (Lambda(lambda x, w: torch.mv(w * 1j, x.flatten() * 1j), 10, 384), 4 * 10 * 384),
    "complex vecdot": (Lambda(lambda x, w: torch.linalg.vecdot(x * 1j, x * 1j)), 4 * 2 * 192),
    "patches": (Lambda(lambda x, w: F.fold(F.unfold(x, 3), (8, 8), 3)), 0),
}  # fmt: skip


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str, device: str, inference: bool) -> None:
    network, right = BY_HAND[name]
    network = on_meta(network) if device == "meta" else network
    with counting() as counter, torch.inference_mode(inference):
        network(torch.zeros(x, device=device))
    assert counter.macs == right and counter.uncounted == set()


def layers(kind: type[nn.RNNBase], gates: int, bidirectional: bool) -> tuple[nn.RNNBase, int]:
    """A recurrent layer of 2 levels, and its multiply-adds for 2 sequences of 7 steps of 5 values."""
    made = kind(5, 6, num_layers=2, bidirectional=bidirectional, batch_first=True).eval()
    ways = 1 + bidirectional
    step = ways * gates * 6 * (5 + 6) + ways * gates * 6 * (ways * 6 + 6)
    return made, 2 * 7 * step


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers(kind: type[nn.RNNBase], gates: int, bidirectional: bool, device: str) -> None:
    layer, right = layers(kind, gates, bidirectional)
    with counting() as counter:
        layer.to(device)(torch.zeros(2, 7, 5, device=device))
    assert (counter.macs, counter.uncounted) == (right, set())


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_layers_that_have_a_kernel_of_their_own(device: str) -> None:
    """Multi-head attention in eval mode would run as one operation: four projections and two products of 6 x 6 x 8."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval().to(device)
    tokens = torch.zeros(3, 6, 8, device=device)
    with counting() as counter:
        layer(tokens, tokens, tokens)
    attention = 3 * (4 * 6 * 8 * 8 + 2 * 6 * 6 * 8)
    assert (counter.macs, counter.uncounted) == (attention, set())
    whole = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval().to(device)
    with counting() as counter:
        whole(tokens)
    assert (counter.macs, counter.uncounted) == (attention + 3 * 2 * 6 * 8 * 16, set())
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_nobody_can_count_is_named() -> None:
    class Spectral(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(x)) @ torch.linalg.inv(x)

    for device in ("meta", "cpu"):
        with counting() as counter:
            Spectral()(torch.randn(x, device=device))
        assert counter.macs == 2 * 3 * 8 * 8 * 8
        assert {"aten._fft_r2c", "aten._fft_c2r", "aten.linalg_inv_ex"} <= counter.uncounted


class ByNumPy(torch.autograd.Function):
    """A matrix product that torch does not see."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(a.numpy() @ b.numpy())


class ByAKernel(torch.autograd.Function):
    """Writes where the values lie, as extensions do."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return written(a.relu(), b)


def written(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    made = torch.empty(a.shape[0], b.shape[1])
    with torch._C.DisableTorchFunction(), torch.utils._python_dispatch._disable_current_modes():
        values = (a @ b).numpy().tobytes()
    ctypes.memmove(made.data_ptr(), values, len(values))
    return made


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.view_as(a)


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(a) * a


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        made = torch.empty(a.shape[0], b.shape[1]).zero_()
        return torch.mm(a, b, out=made) if a.is_meta else made.copy_(a @ b)


@pytest.mark.parametrize(
    ("call", "macs", "named"),
    [
        (ByNumPy.apply, 0, {"Tensor.numpy"}),
        (lambda a, b: ByNumPy.apply(a, b), 0, {"ByNumPy", "Tensor.numpy"}),
        (
            lambda a, b: torch.from_numpy(numpy.asarray(a) @ b.detach().numpy()),
            0,
            {"Tensor.numpy", "Tensor.__array__"},
        ),
        (
            lambda a, b: torch.from_numpy(numpy.from_dlpack(a) @ numpy.from_dlpack(b)),
            0,
            {"Tensor.__dlpack__"},
        ),
        (ByAKernel.apply, 0, {"what fills aten.empty"}),
        (written, 0, {"what fills aten.empty"}),
        (Reversed.apply, 0, set()),
        (Swish.apply, 0, set()),
        (Product.apply, 4 * 5 * 6, set()),
        (lambda a, b: torch.empty_like(a).normal_() + torch.zeros_like(torch.empty(4, 5)), 0, set()),
        (lambda a, b: sum(torch.empty(4, 5).copy_(a) + a for _ in range(9)), 0, set()),
    ],
)
def test_what_computes_without_the_dispatcher_is_named(call: Any, macs: int, named: set[str]) -> None:
    a, b = torch.randn(4, 5), torch.randn(5, 6)
    right = call(a, b)
    with counting() as counter:
        product = call(a, b) + 0
    assert (counter.macs, counter.uncounted) == (macs, named)
    if named:
        assert torch.allclose(product, right) and product.shape == (4, 6)
    assert inspect.isbuiltin(Swish.apply), "as it was"


def by_lists(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    columns = b.T.tolist()
    return torch.tensor(
        [[sum(x * y for x, y in zip(r, c, strict=True)) for c in columns] for r in a.tolist()]
    )


def by_numbers(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.tensor(
        [[sum(float(x) * y.item() for x, y in zip(r, c, strict=True)) for c in b.T] for r in a]
    )


def in_a_thread(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    made: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: made.append(a @ b))
    thread.start()
    thread.join()
    return made[0]


def in_a_pool(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return WORKERS.submit(torch.matmul, a, b).result()


def in_a_pool_of_threads(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    with ThreadPool(1) as pool:
        return pool.apply(torch.matmul, (a, b))


def by_a_queue(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    WORK.put((a, b))
    return DONE.get()


def _work() -> None:
    while True:
        DONE.put(torch.matmul(*WORK.get()))


WORKERS = ThreadPoolExecutor(1)
WORKERS.submit(int).result()  # its thread is there before anything is counted
WORK: queue.Queue[Any] = queue.Queue()
DONE: queue.Queue[Any] = queue.Queue()
threading.Thread(target=_work, daemon=True).start()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (by_lists, "Tensor.tolist"),
        (by_numbers, "Tensor.item"),
        (in_a_thread, "Thread.start"),
        (in_a_pool, "ThreadPoolExecutor.submit"),
        (in_a_pool_of_threads, "ThreadPool"),
        (by_a_queue, "Condition.notify"),
    ],
)
def test_what_computes_in_python_or_in_other_threads_is_named(call: Any, named: str) -> None:
    a, b = torch.randn(4, 5), torch.randn(5, 6)
    with counting() as counter:
        product = call(a, b)
    assert torch.allclose(product, a @ b, atol=1e-5) and counter.macs == 0
    assert any(
        named in name or (name == "Thread.start" and named == "ThreadPool") for name in counter.uncounted
    )
    assert threading.Thread.start.__qualname__ == "Thread.start" and not hasattr(
        threading.Thread.start, "__wrapped__"
    )


def test_single_numbers_and_sizes_are_read_freely() -> None:
    def call(x: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        height, width = sizes.tolist()
        return x[:, :height, :width] * x.max().item() * float(x.mean())

    with counting() as counter:
        call(torch.randn(2, 4, 4), torch.tensor([2, 3]))
    assert not counter.uncounted


@torch.library.custom_op("blockzoo_test::mixed", mutates_args=())
def mixed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


@mixed.register_fake
def _(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return b.new_empty(*b.shape[:-2], a.shape[0], b.shape[-1])


class Mixed(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, position: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 1, stride)
        self.weight = nn.Parameter(torch.eye(out_channels), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.convolution(x)
        return mixed(self.weight, y.detach().flatten(2)).view_as(y) + y


def test_an_operation_of_ones_own_is_named_refused_or_counted_by_its_formula() -> None:
    options = {"num_blocks": 1, "base_channels": 4}
    costs = profile_block(Mixed, "late", **options)  # type: ignore[arg-type]
    assert costs.network.uncounted_operations == costs.stage.uncounted_operations == ("blockzoo_test.mixed",)  # type: ignore[union-attr]
    assert costs.columns()["uncounted_operations"] == "blockzoo_test.mixed"
    plain = profile_block("ResNetBasicBlock", "late", strict=True, **options)  # type: ignore[arg-type]
    assert plain.network.uncounted_operations == () and plain.columns()["uncounted_operations"] == ""
    with pytest.raises(UsageError, match=r"blockzoo_test.mixed; .*register_flop_formula"):
        profile_block(Mixed, "late", strict=True, **options)  # type: ignore[arg-type]

    register_flop_formula(torch.ops.blockzoo_test.mixed)(
        lambda a, b, *_, out_shape=None, **__: 2 * math.prod(a) * b[0] * b[-1]
    )
    try:
        counted = get_model_profile(Mixed(3, 4, 1, "mid"), (1, 3, 8, 8), strict=True).network
        assert counted.macs == 64 * 3 * 4 + 4 * 4 * 64
    finally:
        del flop_registry[torch.ops.blockzoo_test.mixed]


def test_the_command_names_it_and_refuses_when_strict(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Spectral(nn.Module):\n"
        "    def __init__(self, in_channels, out_channels, stride, position):\n"
        "        super().__init__()\n"
        "        self.c = nn.Conv2d(in_channels, out_channels, 1, stride)\n"
        "    def forward(self, x): return torch.fft.fft2(self.c(x)).real\n"
    )
    words = ["profile", f"{tmp_path}/own.py:Spectral", "--num-blocks", "1", "--base-channels", "4"]
    assert run(words) == 0 and "The MACs lack those of aten._fft" in " ".join(capsys.readouterr().out.split())
    assert run([*words, "--format", "json"]) == 0
    assert '"uncounted_operations": "aten._fft' in capsys.readouterr().out
    assert run([*words, "--strict"]) == 2
    assert "leave out --strict" in capsys.readouterr().err


def test_tied_weights_count_once() -> None:
    first, second = (nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(2))
    second.weight = first.weight
    profile = get_model_profile(nn.Sequential(first, second), (1, 3, 8, 8)).network
    assert (profile.params_total, profile.params_trained, profile.macs) == (81, 81, 2 * 64 * 81)
    layer = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    assert get_model_profile(nn.Sequential(layer, layer), (1, 3, 8, 8)).network.params_total == 81
    recurrent = nn.LSTM(8, 4)
    assert get_model_profile(Lambda(lambda x, w: recurrent(x[:, 0])[0]), (1, 1, 8, 8)).network.macs > 0


def test_lazy_layers_are_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"0\.weight has no shape yet"):
        get_model_profile(nn.Sequential(nn.LazyConv2d(4, 3)), (1, 3, 8, 8))


class NeedsValues(nn.Module):
    """Asks for a value, and makes a tensor where none is on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]
        self.body = nn.Conv2d(3, 4, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return y * 2 + torch.zeros(y.shape) if y.mean() > 0 else y


def test_what_needs_values_is_measured_on_some() -> None:
    network = NeedsValues()
    before = torch.get_rng_state()
    profile = get_model_profile(network, (1, 3, 8, 8))
    assert torch.equal(before, torch.get_rng_state()), "the generator of the process is left alone"
    assert (profile.network.macs, profile.network.params_total) == (36 * 4 * 27, 108)
    assert profile.network.peak_activation_bytes >= 4 * 4 * 36  # type: ignore[operator]
    assert "counted on random values" in profile.notes[0] and "notes" in profile.columns()


def test_detection_operations_have_no_multiply_adds() -> None:
    boxes, scores = torch.tensor([[0.0, 0, 4, 4], [1, 1, 5, 5]]), torch.rand(2)
    with counting() as counter:
        nms(boxes, scores, 0.5)
        roi_align(torch.rand(1, 3, 8, 8), [boxes], 2)
        DeformConv2d(3, 2, 1, bias=False)(torch.rand(1, 3, 4, 4), torch.zeros(1, 2, 4, 4))
    assert (counter.macs, counter.uncounted) == (16 * 3 * 2, set())


def test_backward_of_attention() -> None:
    q = torch.zeros(1, 2, 4, 8, requires_grad=True)
    with MacCounter() as counter:
        out = F.scaled_dot_product_attention(q, q, q).sum()
        forward = counter.macs
        out.backward()
    assert forward == 2 * 2 * 4 * 4 * 8 and counter.macs - forward == 5 * 2 * 4 * 4 * 8
    assert counter.uncounted == set()


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.sparse.mm(torch.eye(7, x[0].numel()).to_sparse(), x.flatten(1).t()).t())


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.cond(x.sum() > 0, lambda x: self.convolution(x), lambda x: self.convolution(-x), (x,))
        return self.last(y.mean((2, 3)))


@pytest.mark.parametrize(("kind", "macs", "named"), [(Sparse, 14, "sparse"), (Branching, 16, "cond")])
def test_where_tensors_cannot_be_followed_only_their_memory_is_unknown(
    kind: type[nn.Module], macs: int, named: str
) -> None:
    profile = get_model_profile(kind(), (1, 3, 8, 8))
    assert profile.network.macs == macs and named in " ".join(profile.network.uncounted_operations)
    assert profile.network.params_total == sum(p.numel() for p in kind().parameters())
    assert profile.network.peak_activation_bytes is None and profile.network.saved_activation_bytes is None
    assert "its memory is not measured" in " ".join(profile.notes)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_kernels_with_packed_weights_are_counted(groups: int) -> None:
    """Those that a tiled runner calls, against the convolution that they stand for."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    layer = nn.Conv2d(8, 16, 3, padding=1, groups=groups).eval()
    x = torch.randn(2, 8, 12, 12).contiguous(memory_format=torch.channels_last)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        layer.weight.detach(), [1, 1], [1, 1], [1, 1], groups, list(x.shape)
    )
    with counting() as counter, torch.no_grad():
        made = torch.ops.mkldnn._convolution_pointwise(
            x, packed, layer.bias, [1, 1], [1, 1], [1, 1], groups, "none", [], ""
        )
    assert torch.allclose(made, layer(x), atol=1e-4)
    assert counter.macs == 2 * 16 * 144 * 9 * 8 // groups and not counter.uncounted
