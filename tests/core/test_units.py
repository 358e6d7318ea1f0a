from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockzoo.core.units import aligned_size, duration, engineering, exact, number, rough_size, scaled, size


@given(st.floats(allow_nan=False))
def test_an_exact_text_is_read_as_the_same_number_and_has_no_digit_more_than_it_needs(value: float) -> None:
    assert float(exact(value)) == value
    assert float(f"{value:g}") != value or exact(value) == f"{value:g}"


def test_ticks() -> None:
    assert [engineering(v) for v in (0.5, 50, 5e4, 5e7, 2e9)] == ["0.5", "50", "50 k", "50 M", "2 G"]


@pytest.mark.parametrize(
    ("count", "short", "aligned", "rough"),
    [
        (0, "0 B", "0 bytes", "0 B"),
        (1023, "1023 B", "1023 bytes", "1023 B"),
        (1024, "1 KiB", "1.0 KiB", "1.0 KiB"),
        (2**20 - 1, "1024 KiB", "1024.0 KiB", "1,024 KiB"),
        (2**20, "1 MiB", "1.00 MiB", "1.0 MiB"),
        (3 * 2**30, "3 GiB", "3072.00 MiB", "3.0 GiB"),
        (2**41, "2048 GiB", "2097152.00 MiB", "2,048 GiB"),
    ],
)
def test_a_size_changes_its_unit_at_each_power_of_1024(
    count: int, short: str, aligned: str, rough: str
) -> None:
    assert (size(count), aligned_size(count), rough_size(count)) == (short, aligned, rough)


def test_numbers() -> None:
    counts = (0, 999, 9_999, 10_000, 999_999, 1_000_000, 1e9, 1e12)
    assert [number(n) for n in counts] == ["0", "999", "9,999", "10 k", "1e+03 k", "1 M", "1 G", "1,000 G"]
    assert [number(n) for n in (-12_400, 0.123456, "as it is", None)] == [
        "-12.4 k", "0.1235", "as it is", "-",
    ]  # fmt: skip
    assert [scaled(n, 1e3) for n in (99_949, 100_000, 0, None)] == ["99.9", "100", "0", "-"]


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59.4, 60, 3599.6, 86_400)] == [
        "0 s", "59 s", "1 min 00 s", "1 h 00 min", "24 h 00 min",
    ]  # fmt: skip
