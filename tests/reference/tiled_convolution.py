"""Block convolution the slow way: every tile padded and convolved on its own, every output pixel by its definition."""

from __future__ import annotations

import numpy as np


def block_convolution(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    cuts: tuple[list[int], list[int]],
    stride: int,
    padding: int,
    dilation: int,
    mode: str,
) -> np.ndarray:
    """x (C, H, W), weight (C', C, k, k); output tiles between `cuts` of rows and columns."""
    height, width = x.shape[1:]
    k = weight.shape[2]
    reach = dilation * (k - 1) + 1
    outputs = [(size + 2 * padding - reach) // stride + 1 for size in (height, width)]
    y = np.full((len(weight), *outputs), np.nan)
    for r0, r1 in zip(cuts[0][:-1], cuts[0][1:], strict=True):
        for c0, c1 in zip(cuts[1][:-1], cuts[1][1:], strict=True):
            for row in range(r0, r1):
                for column in range(c0, c1):
                    total = bias.astype(float).copy()
                    for a in range(k):
                        for b in range(k):
                            i = row * stride - padding + a * dilation
                            j = column * stride - padding + b * dilation
                            i = _inside(i, r0, r1, outputs[0], stride, height, mode)
                            j = _inside(j, c0, c1, outputs[1], stride, width, mode)
                            if i is not None and j is not None:
                                total += weight[:, :, a, b] @ x[:, i, j]
                    y[:, row, column] = total
    return y


def _inside(i: int, first: int, last: int, outputs: int, stride: int, size: int, mode: str) -> int | None:
    """The pixel that a tile sees at place i: its own, one made of its own, or none."""
    start, stop = first * stride, size if last == outputs else min(last * stride, size)
    if start <= i < stop:
        return i
    if mode == "zeros":
        return None
    if mode == "replicate":
        return min(max(i, start), stop - 1)
    return 2 * start - i if i < start else 2 * (stop - 1) - i
