"""Block convolution against independent cases, against loops over pixels, and against nn.Conv2d where tiles do not matter."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Window, cuts, tiles
from blockzoo.tiling.layers.conv import BlockConv2d
from tests.reference.tiled_convolution import block_convolution

ORACLES = Path(os.environ.get("BLOCKZOO_ORACLES", Path(__file__).parents[4] / "shared" / "oracles"))


def independent_cases() -> list[Any]:
    path = ORACLES / "blockconv.json"
    return json.loads(path.read_text()) if path.exists() else []


@pytest.mark.skipif(not independent_cases(), reason="the independent cases are not here")
def test_all_independent_cases() -> None:
    arrays = np.load(ORACLES / "blockconv.npz")
    cases = independent_cases()
    assert len(cases) == 49
    for case in cases:
        x, w, want = (torch.from_numpy(arrays[f"{name}{case['id']}"]) for name in "xwy")
        layer = BlockConv2d(
            case["cin"],
            case["cout"],
            case["k"],
            case["block"],
            case["blocking"],
            case.get("stride", 1),
            case["pad"],
            case.get("dil", 1),
            case.get("groups", 1),
            case.get("bias", True),
            case["padding_mode"],
            case["stride_mode"],
        )
        state = {"weight": w} | (
            {"bias": torch.from_numpy(arrays[f"b{case['id']}"])} if layer.bias is not None else {}
        )
        layer.load_state_dict(state)
        torch.testing.assert_close(layer(x), want, rtol=0, atol=1e-5, msg=str(case))


@settings(max_examples=120, deadline=None)
@given(
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 2),
    st.integers(0, 9),
    st.sampled_from(["fixed", "hierarchical"]),
    st.sampled_from(["zeros", "replicate", "reflect"]),
)
def test_any_size_against_loops_over_pixels(
    size: tuple[int, int],
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    block: int,
    blocking: Any,
    mode: Any,
) -> None:
    window = Window(kernel, stride, dilation, padding, padding)
    assume(all(window.outputs(n) >= 1 for n in size) and (block or blocking == "fixed"))
    assume(all((window.outputs(n) - 1) * stride < n for n in size))  # every output owns a pixel
    layer = BlockConv2d(2, 3, kernel, block, blocking, stride, padding, dilation, padding_mode=mode).double()
    x = torch.randn(2, *size, dtype=torch.float64)
    try:
        got = layer(x)
    except UsageError as error:
        assert mode == "reflect" and "larger tiles" in str(error)
        return
    where = tuple(cuts(window.outputs(n), stride, block, blocking) for n in size)
    want = block_convolution(
        x.numpy(),
        layer.weight.detach().numpy(),
        layer.bias.detach().numpy(),
        where,
        stride,
        padding,
        dilation,
        mode,  # type: ignore[union-attr, arg-type]
    )
    np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-10)


@pytest.mark.parametrize("block", [0, 11, 64])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"dilation": 2, "padding": 2}, {"groups": 2}, {"padding": "same"}]
)
def test_one_tile_is_the_ordinary_convolution(block: int, options: dict[str, Any]) -> None:
    settings_ = {"padding": 1, **options}
    plain = nn.Conv2d(4, 6, 3, **settings_)
    layer = BlockConv2d.of(plain, block)
    assert layer.state_dict().keys() == plain.state_dict().keys() and layer.weight is plain.weight
    x = torch.randn(2, 4, 11, 11)
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer(x[0]), plain(x[0])), "unbatched"
    striped = x.to(memory_format=torch.channels_last)
    assert layer(striped).is_contiguous(memory_format=torch.channels_last)


def test_tiles_do_not_see_each_other_and_learn() -> None:
    layer = BlockConv2d(1, 1, 3, 4, padding=1)
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    layer(x)[0, 0, :4, :4].sum().backward()
    assert x.grad is not None and x.grad[0, 0, :4, :4].abs().min() > 0 and x.grad[0, 0, 4:].abs().max() == 0
    assert layer.weight.grad is not None and layer.bias is not None and layer.bias.grad is not None


def test_geometry_by_hand() -> None:
    assert cuts(10, 1, 4, "fixed") == [0, 4, 8, 10] and cuts(5, 2, 5, "fixed") == [0, 3, 5]
    assert cuts(10, 1, 3, "hierarchical") == [0, 3, 7, 10] and cuts(2, 1, 9, "hierarchical") == [0, 1, 2]
    first, second = tiles(8, Window(3, 2, 1, 1, 1), 4)
    assert (first.first, first.last, first.start, first.stop, first.before, first.after) == (0, 2, 0, 4, 1, 0)
    assert (second.first, second.last, second.start, second.stop, second.before, second.after) == (
        2,
        4,
        4,
        8,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BlockConv2d(1, 1, 3, blocking="random"), "fixed, hierarchical"),  # type: ignore[arg-type]
        (lambda: BlockConv2d(1, 1, 3, padding_mode="circular"), "replicate"),  # type: ignore[arg-type]
        (lambda: BlockConv2d(1, 1, 3, stride_mode="average"), "native, maxpool"),  # type: ignore[arg-type]
        (lambda: BlockConv2d(1, 1, 3, (1, 2, 3)), "two for rows and columns"),
        (lambda: BlockConv2d(1, 1, 3, 0, "hierarchical", padding=1)(torch.zeros(1, 1, 4, 4)), "1 or more"),
        (lambda: BlockConv2d(1, 1, 3, -1, padding=1)(torch.zeros(1, 1, 4, 4)), "0 .the whole map. or more"),
        (
            lambda: BlockConv2d(1, 1, 3, 1, padding=1, padding_mode="reflect")(torch.zeros(1, 1, 4, 4)),
            "larger tiles",
        ),
        (lambda: BlockConv2d(1, 1, 5, 4)(torch.zeros(1, 1, 3, 3)), "smaller than a kernel"),
    ],
)
def test_impossible_requests(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


@pytest.mark.parametrize("size", [9, 17, 32])
@pytest.mark.parametrize(
    "kernel, stride, dilation, padding", [(3, 1, 1, 1), (7, 2, 1, 3), (1, 3, 1, 0), (3, 2, 2, 2)]
)
@pytest.mark.parametrize("block, blocking", [(8, "fixed"), (3, "fixed"), (4, "hierarchical")])
def test_gradients_are_those_of_tiles_one_by_one(
    size: int, kernel: int, stride: int, dilation: int, padding: int, block: int, blocking: str
) -> None:
    """Each tile by itself, from a slice of the map; strides beyond the kernel leave pixels that no tile reads."""
    torch.manual_seed(0)
    layer = BlockConv2d(2, 3, kernel, block, blocking, stride, padding, dilation).double()  # type: ignore[arg-type]
    x = torch.randn(2, 2, size, size, dtype=torch.float64, requires_grad=True)
    rows, columns = (tiles(size, window, block, blocking) for window in layer.windows())  # type: ignore[arg-type]

    def one_by_one() -> torch.Tensor:
        lines = []
        for r in rows:
            parts = [x[..., r.start : r.stop, c.start : c.stop] for c in columns]
            widened = [
                nn.functional.pad(part, (c.before, c.after, r.before, r.after))
                for part, c in zip(parts, columns, strict=True)
            ]
            made = [nn.functional.conv2d(w, layer.weight, layer.bias, stride, 0, dilation) for w in widened]
            lines.append(torch.cat(made, -1))
        return torch.cat(lines, -2)

    got, want = layer(x), one_by_one()
    weights = torch.randn_like(want)
    inputs = [x, layer.weight, layer.bias]
    for one, other in zip(
        torch.autograd.grad(got, inputs, weights), torch.autograd.grad(want, inputs, weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
