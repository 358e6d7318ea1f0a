"""Whole numbers of any width packed without gaps, lowest bit first, as whole-array operations.

Values of `width` bits repeat their position within a byte every 8 / gcd(width, 8) values. One strided, unaligned view per
position reads them all: no loop over values, no table of bits.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
WIDEST = 32
SPARE = 8
"""Bytes that a buffer needs behind its last row, since views read whole machine words."""


def packed_bytes(count: int, width: int) -> int:
    """Bytes that `count` values of `width` bits take."""
    return -(-count * width // 8)


def unpack(
    buffer: Bytes, offset: int, rows: int, row_bytes: int, count: int, width: int, out: npt.NDArray[Any]
) -> None:
    """Read `count` values of `width` bits from each of `rows` rows into `out` (rows, count).

    Args:
        buffer: flat bytes with at least `SPARE` behind the last row.
        offset: byte of the first value of the first row.
        rows: how many rows.
        row_bytes: distance between rows.
        count: values that are read from each row.
        width: bits of each value.
        out: (rows, count), written to.
    """
    period = 8 // gcd(width, 8)
    step = width * period // 8
    for first in range(min(period, count)):
        byte, shift = divmod(first * width, 8)
        word = next(size for size in (1, 2, 4, 8) if shift + width <= 8 * size)
        n = -(-(count - first) // period)
        view = np.ndarray((rows, n), f"<u{word}", buffer, offset + byte, (row_bytes, step))
        target = out[:, first::period]
        if shift == 0 and width == 8 * word:
            target[...] = view
        elif shift + width == 8 * word:
            np.right_shift(view, shift, out=target, casting="unsafe")
        elif shift == 0:
            np.bitwise_and(view, (1 << width) - 1, out=target, casting="unsafe")
        else:
            np.bitwise_and(view >> shift, (1 << width) - 1, out=target, casting="unsafe")


def pack(values: npt.NDArray[Any], width: int) -> Bytes:
    """(rows, packed bytes) of (rows, count) values, each row padded to whole bytes.

    Raises:
        ValueError: a value that needs more bits.
    """
    if values.size and int(values.max()) >> width:
        raise ValueError(f"{int(values.max())} does not fit {width} bits")
    words = np.ascontiguousarray(values, "<u4")
    bits = np.unpackbits(words.view(np.uint8).reshape(*words.shape, 4), axis=-1, bitorder="little")[
        ..., :width
    ]
    return np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")
