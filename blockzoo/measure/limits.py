"""The limits of this machine, measured: its highest rate of FLOPs, its rates of copying, the time of the smallest operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from blockzoo.core import units
from blockzoo.core.roofline import ANY_KIND, KINDS, Limit, Machine
from blockzoo.measure.interleaving import Clock, Schedule, interleave
from blockzoo.measure.operation_times import one_by_one, readings

SIDES = {"cpu": (256, 512, 1024), "cuda": (4096, 8192)}
"""Of the square matrices whose products are timed."""
MAPS = {"cpu": (1, 64, 56), "cuda": (64, 256, 56)}
"""Images, channels, rows and columns of the maps that a 3x3 convolution is timed on."""
BUFFERS = {"cpu": tuple(2**n for n in (14, 17, 20, 23, 27)), "cuda": tuple(2**n for n in (20, 23, 26, 30))}
"""Bytes that are copied: from those that the first cache holds to those that none does."""
SAMPLE = 2**25
"""Bytes that a sample of a copy moves at least, so that small copies stay in their cache."""
SMALLEST = 100
"""Samples of the smallest operations."""


class _Work(NamedTuple):
    """What is timed: its name, the FLOPs or bytes of one run, a call, and how often that runs it."""

    what: str
    amount: float
    call: Callable[[], Any]
    times: int = 1


def measure_machine(
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    seconds: float = 3.0,
    rounds: int | None = None,
) -> Machine:
    """The limits of a device with torch's threads as they are, in a dtype.

    Args:
        device: cpu or cuda.
        dtype: of products and copies.
        seconds: for all of it; one sample of each is always taken.
        rounds: samples of each at most; None: as many as the seconds allow.
    """
    clock = Clock(device)
    with one_by_one():
        products, copies = _products(device, dtype), _copies(device, dtype)
        calls = {work.what: work.call for work in (*products, *copies)}
        samples = interleave(calls, clock, Schedule(1, rounds, seconds, most_rounds=50))
        smallest = _smallest(device, dtype, clock)

    def limit(work: _Work) -> Limit:
        return Limit(work.what, work.amount, tuple(ms / work.times for ms in samples[work.what]))

    return Machine(tuple(map(limit, products)), tuple(map(limit, copies)), smallest)


def _products(device: torch.device, dtype: torch.dtype) -> list[_Work]:
    def product(side: int) -> _Work:
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        return _Work(f"product of matrices, {side} x {side}", 2.0 * side**3, lambda: a @ b)

    images, channels, rows = MAPS[device.type]
    x = torch.randn(images, channels, rows, rows, device=device, dtype=dtype)
    weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
    what = f"3x3 convolution, {images} x {channels} x {rows} x {rows}"
    convolution = _Work(what, 2.0 * 9 * channels * x.numel(), lambda: F.conv2d(x, weight, padding=1))
    return [*map(product, SIDES[device.type]), convolution]


def _copies(device: torch.device, dtype: torch.dtype) -> list[_Work]:
    def work(size: int) -> _Work:
        source = torch.zeros(size // dtype.itemsize, device=device, dtype=dtype)
        target = torch.zeros_like(source)
        times = max(1, SAMPLE // (2 * size))

        def call() -> None:
            for _ in range(times):
                target.copy_(source)

        return _Work(f"copy of {units.rough_size(size)}", 2.0 * size, call, times)

    return [work(size) for size in BUFFERS[device.type]]


def _smallest(device: torch.device, dtype: torch.dtype, clock: Clock) -> dict[str, Limit]:
    """The smallest operation of each kind that has one of its own, on the clock that times a network's operations."""
    one, pixel = (torch.ones(shape, device=device, dtype=dtype) for shape in ((1, 1), (1, 1, 1, 1)))

    def limit(what: str, call: Callable[[], Any]) -> Limit:
        for _ in range(SMALLEST // 10):
            call()
        return Limit(what, 1.0, tuple(readings(call, clock)[-1].ms for _ in range(SMALLEST)))

    convolution = limit("convolution of one pixel", lambda: F.conv2d(pixel, pixel))
    return {
        ANY_KIND: limit("sum of two numbers", lambda: one + one),
        "matrix products": limit("product of two numbers", lambda: one @ one),
        "views": limit("view of one number", lambda: one.view(1)),
        **{kind: convolution for kind in KINDS if kind.endswith("convolutions")},
    }
