"""Bytes that operations move, counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.roofline import Operation
from blockzoo.measure.ledger import operations_of

FOUR = 4  # bytes of a number in float32


def moved(call: Callable[[], object]) -> list[tuple[str, int, int]]:
    """Name without its namespace, numbers read and written, of each operation of a call."""
    return [(o.name.removeprefix("aten."), *_numbers(o)) for o in operations_of(nn.Identity(), call)]


def _numbers(operation: Operation) -> tuple[int, int]:
    assert operation.bytes_read % FOUR == operation.bytes_written % FOUR == 0 and not operation.unknown
    return operation.bytes_read // FOUR, operation.bytes_written // FOUR


def one(call: Callable[[], object]) -> tuple[int, int]:
    ((_, *numbers),) = [line for line in moved(call) if line[1:] != (0, 0)]
    return numbers[0], numbers[1]


@pytest.fixture(params=["cpu", "meta"])
def x(request: pytest.FixtureRequest) -> torch.Tensor:
    return torch.zeros(2, 3, 8, 8, device=request.param)


def test_a_convolution(x: torch.Tensor) -> None:
    weight, bias = x.new_zeros(5, 3, 3, 3), x.new_zeros(5)
    assert one(lambda: F.conv2d(x, weight, bias, padding=1)) == (
        2 * 3 * 8 * 8 + 5 * 3 * 3 * 3 + 5,
        2 * 5 * 8 * 8,
    )
    assert one(lambda: F.conv2d(x, weight[:3, :1], groups=3)) == (2 * 3 * 8 * 8 + 3 * 3 * 3, 2 * 3 * 6 * 6)


def test_a_product_of_matrices(x: torch.Tensor) -> None:
    a, b = x.new_zeros(7, 3), x.new_zeros(3, 5)
    assert one(lambda: a @ b) == (7 * 3 + 3 * 5, 7 * 5)
    assert one(lambda: a.t().t() @ b) == (7 * 3 + 3 * 5, 7 * 5)


def test_in_place(x: torch.Tensor) -> None:
    n = x.numel()
    assert one(lambda: F.relu(x)) == one(lambda: F.relu(x, inplace=True)) == (n, n)
    assert one(lambda: x.add_(x)) == (n, n)
    assert one(lambda: x.add_(1)) == (n, n)
    other = x.new_zeros(x.shape)
    assert one(lambda: x.copy_(other)) == (n, n)
    assert one(lambda: x.zero_()) == one(lambda: x.fill_(3.0)) == (0, n)
    assert one(lambda: torch.add(x, x, out=other)) == (n, n)


def test_views_move_nothing(x: torch.Tensor) -> None:
    views = moved(
        lambda: x.flatten(2).transpose(1, 2).view(2, 64, 3)[:, 1:].unsqueeze(0).expand(4, 2, 63, 3).detach()
    )
    assert len(views) >= 5 and all(line[1:] == (0, 0) for line in views)
    assert all(o.kind == "views" for o in operations_of(nn.Identity(), lambda: x.chunk(3, dim=1)))


def test_what_is_copied_moves(x: torch.Tensor) -> None:
    n = x.numel()
    assert one(lambda: x.transpose(1, 2).contiguous()) == one(lambda: x.transpose(1, 2).reshape(-1)) == (n, n)
    assert one(lambda: torch.cat([x, x.new_empty(2, 1, 8, 8)], 1)) == (n + 2 * 64, n + 2 * 64)
    assert one(lambda: torch.cat([x, x], 1)) == (n, 2 * n)  # it is there once


def test_numbers_that_are_repeated_are_read_once(x: torch.Tensor) -> None:
    channels = x.new_zeros(3, 1, 1).expand(2, 3, 8, 8)
    assert one(lambda: x + channels) == (x.numel() + 3, x.numel())
    assert one(lambda: x + x) == (x.numel(), x.numel())


def test_of_a_table_the_rows_that_are_taken() -> None:
    table, places = torch.zeros(1000, 16), torch.tensor([3, 5], dtype=torch.int32)
    assert one(lambda: F.embedding(places, table)) == (2 + 2 * 16, 2 * 16)
    kept = torch.zeros(1000, 16)
    places = torch.tensor([3, 5])
    assert one(lambda: kept.index_copy_(0, places, torch.empty(2, 16)))[1] == 2 * 16


def test_memory_that_is_not_filled_moves_nothing(x: torch.Tensor) -> None:
    assert moved(lambda: torch.empty_like(x)) == [("empty_like", 0, 0)]
    assert one(lambda: torch.zeros_like(x)) == one(lambda: x.new_full(x.shape, 2.0)) == (0, x.numel())


def test_other_types_have_other_bytes() -> None:
    x = torch.zeros(6, dtype=torch.bfloat16)
    (operation,) = operations_of(nn.Identity(), lambda: x.float())
    assert (operation.bytes_read, operation.bytes_written) == (12, 24)


def test_bytes_that_nobody_knows_are_named() -> None:
    sparse = torch.eye(4).to_sparse()
    operations = operations_of(nn.Identity(), lambda: sparse @ torch.ones(4, 1))
    assert any("bytes" in operation.unknown for operation in operations)
