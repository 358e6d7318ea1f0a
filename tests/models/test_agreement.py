"""The comparison itself: every dtype and layout is compared rightly, or refused by name."""

from __future__ import annotations

import pytest
import torch

from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import Claim, compare, deviation, draw_constants, nudged, probes

X = torch.linspace(-1, 1, 101)
CLAIM = Claim("c", "a network", 1e-4)


@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128])
def test_imaginary_parts_are_seen(dtype: torch.dtype) -> None:
    one = torch.complex(X, X.flip(0)).to(dtype)
    assert deviation(one, one.clone()) == 0
    assert deviation(one, one.conj()) == pytest.approx(2, rel=1e-2)
    assert deviation(one.conj(), one.conj().resolve_conj()) == 0
    assert deviation(one, one.real) == pytest.approx(1, rel=1e-2), "a part of it is not all"
    broken = torch.complex(X.double(), torch.where(X > 0.5, float("nan"), 0.0).double()).to(dtype)
    assert deviation(broken, broken.real.to(dtype)) == float("inf"), "NaN in the imaginary part alone"
    with pytest.raises(CheckFailed, match="differs"):
        compare(CLAIM, lambda x: x * 1j, lambda x: x * -1j, [one.to(torch.complex64)])


def test_signs_that_a_view_shows_are_seen() -> None:
    one = torch.complex(X, X)
    assert one.conj().imag.is_neg()
    assert deviation(-X, one.conj().imag) == 0
    assert deviation(X, one.conj().imag) == pytest.approx(2)


FORMS = {
    "bool": lambda x: x > 0,
    "uint8": lambda x: (x * 100 + 100).to(torch.uint8),
    "uint32": lambda x: (x * 100 + 100).to(torch.uint32),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "float8_e5m2": lambda x: x.to(torch.float8_e5m2),
    "float16": lambda x: x.half(),
    "sparse": lambda x: x.to_sparse(),
}


@pytest.mark.parametrize("form", FORMS)
def test_other_number_formats(form: str) -> None:
    make = FORMS[form]
    assert compare(CLAIM, make, make, [X]) == 0
    with pytest.raises(CheckFailed):
        compare(CLAIM, make, lambda x: make(-x), [X])
    with pytest.raises(CheckFailed):
        compare(CLAIM, make, lambda x: make(x).to_dense().float(), [X])


@pytest.mark.filterwarnings("ignore")
def test_quantised_values_and_their_scales() -> None:
    one = torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)
    assert deviation(one, one) == 0
    assert deviation(one, torch.quantize_per_tensor(X * 2, 0.2, 0, torch.qint8)) > 0.9, "the same integers"


def test_what_nobody_can_read_is_refused_by_name() -> None:
    bits = torch.zeros(4, dtype=torch.uint8).view(torch.bits8)
    with pytest.raises(CheckFailed, match=r"torch\.bits8 cannot be compared"):
        deviation(bits, bits)


@pytest.mark.parametrize("large", [10**6, 2**53, 2**62])
def test_integers_are_equal_or_not(large: int) -> None:
    def place(x: torch.Tensor) -> torch.Tensor:
        return (x > 0).long() + large

    with pytest.raises(CheckFailed, match="inf"):
        compare(CLAIM, place, lambda x: place(x) + 1, [X])
    counted = torch.arange(10)
    with pytest.raises(CheckFailed, match="inf"):
        compare(CLAIM, lambda x: x + large, lambda x: x + large + (x == 3), [counted])


def test_integers_that_rounding_moves_may_differ() -> None:
    def written(x: torch.Tensor) -> torch.Tensor:
        return (x * 1e7).long()

    assert compare(CLAIM, written, lambda x: written(nudged(x)), [X]) < 1e-5


def test_complex_networks_are_shown_complex_inputs_and_weights() -> None:
    normal, large, broken = probes(torch.zeros(3, 4, dtype=torch.complex64))
    assert normal.imag.any() and large.imag.abs().max() > 10 and broken.isnan().any()
    layer = torch.nn.Linear(3, 2, dtype=torch.complex64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    draw_constants(layer)
    assert layer.weight.imag.any() and layer.bias.imag.any()
