"""What each output of an interpolation reads and how it weighs that, asked of the function itself.

Interpolation works along rows, then along columns, and is linear. So its answer to each single pixel says all of it: a one gives
the weight with which every output reads that pixel, a NaN says which outputs read it at all, an infinity which read it with
weight 0 (besides: at borders a pixel may count twice). No formula of coordinates is repeated here: its rounding decides
which pixel is the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes

from blockzoo.tiling.geometry import Enlargement, Reads, Taps, Tile

if TYPE_CHECKING:
    from jaxtyping import Shaped

HALO = {"nearest": 0, "bilinear": 1, "bicubic": 2}
"""Pixels beside the nearest one that enlargements by whole numbers read."""
MOST_PIXELS = 2**25
"""Inputs times outputs of an axis that are looked at: above, no tile goes through."""
PIXELS, BESIDE = 5, 2
"""Along the other axis of the maps that are asked with: so many that no border is near the middle one, and a factor at which no
pixel is read with weight 0."""


def reads_of(
    options: Mapping[str, Any],
    size: tuple[int, int],
    outputs: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> tuple[Reads, Reads] | None:
    """What an interpolation reads along rows and columns; None for maps too large to be asked.

    Args:
        options: of F.interpolate.
        size: rows and columns of its map.
        outputs: rows and columns of what it makes.
        dtype: of its map; in half precision weights are those of single precision, which it works in.
    """
    dtype = torch.promote_types(dtype, torch.float32)
    scales = whole_scales(options, size, outputs)
    if scales is not None:
        halo = HALO[options["mode"]]
        return Enlargement(scales[0], halo), Enlargement(scales[1], halo)
    if max(a * b for a, b in zip(size, outputs, strict=True)) > MOST_PIXELS:
        return None
    rows, columns = (_taps(options, axis, size[axis], outputs[axis], dtype) for axis in (0, 1))
    return rows, columns


def whole_scales(
    options: Mapping[str, Any], size: tuple[int, int], outputs: tuple[int, int]
) -> tuple[int, int] | None:
    """Factors of an enlargement by whole numbers whose every pixel is made alike; None where it is no such."""
    if options.get("mode", "nearest") not in HALO or options.get("align_corners") or options.get("antialias"):
        return None
    factor = None if options.get("recompute_scale_factor") else options.get("scale_factor")
    factors = [out / own for own, out in zip(size, outputs, strict=True)] if factor is None else _both(factor)
    if any(scale != int(scale) or scale < 1 for scale in factors):
        return None
    return int(factors[0]), int(factors[1])


def _both(value: Any) -> list[float]:
    return [float(v) for v in (value if isinstance(value, (tuple, list)) else (value, value))]


def _taps(options: Mapping[str, Any], axis: int, size: int, outputs: int, dtype: torch.dtype) -> Taps:
    """What it reads along one axis."""
    weights = _answers(options, axis, size, outputs, 1.0, dtype)
    reads = _answers(options, axis, size, outputs, float("nan"), dtype).isnan()
    nothing = _answers(options, axis, size, outputs, float("inf"), dtype, BESIDE).isnan()
    taps_of_outputs = []
    for output in range(outputs):
        taps = []
        for pixel in reads[output].nonzero().flatten().tolist():
            taps.append((pixel, float(weights[output, pixel])))
            if nothing[output, pixel] and taps[-1][1]:
                taps.append((pixel, 0.0))
        taps_of_outputs.append(tuple(taps))
    return Taps(tuple(taps_of_outputs), size)


def _answers(
    options: Mapping[str, Any],
    axis: int,
    size: int,
    outputs: int,
    value: float,
    dtype: torch.dtype,
    beside: int = 1,
) -> torch.Tensor:
    """(outputs, inputs): what one axis makes of each single pixel of this value.

    Args:
        options: of F.interpolate.
        axis: 0 for rows, 1 for columns.
        size: inputs along the axis.
        outputs: outputs along the axis.
        value: of the single pixel; all others are 0.
        dtype: of the maps that are asked with.
        beside: factor of the other axis. Of 1, its middle pixel is read with weight 1, but also once more with weight 0.
    """
    own = {name: option for name, option in options.items() if option is not None}
    if "size" in own:
        own["size"] = [outputs if place == axis else PIXELS * beside for place in (0, 1)]
    if "scale_factor" in own:
        scales = enumerate(_both(own["scale_factor"]))
        own["scale_factor"] = [scale if place == axis else float(beside) for place, scale in scales]
    each, middle = range(size), PIXELS // 2
    maps = torch.zeros(1, size, size, PIXELS, dtype=dtype, device="cpu")
    maps[0, each, each, middle] = value
    answers = F.interpolate(maps if axis == 0 else maps.mT.contiguous(), **own)
    return (answers if axis == 0 else answers.mT)[0, :, :, middle * beside].T


class Sampler:
    """An interpolation on parts of its map; what it reads for each tile is laid out once.

    Args:
        rows, columns: what it reads.
    """

    def __init__(self, rows: Taps, columns: Taps) -> None:
        self._reads = (rows, columns)
        self._laid_out: dict[Any, list[tuple[torch.Tensor, torch.Tensor | None]]] = {}

    def __call__(
        self, x: Shaped[torch.Tensor, "N C H W"], row: Tile, column: Tile
    ) -> Shaped[torch.Tensor, "N C H_out W_out"]:
        """The outputs of one tile from what it reads: along rows, then along columns. Input and output (N, C, rows, columns)."""
        for axis, tile in enumerate((row, column)):
            y: torch.Tensor | None = None
            for places, weights in self._terms(axis, tile, x):
                read = x.index_select(2 + axis, places)
                read = read if weights is None else read.mul_(weights)
                y = read if y is None else y.add_(read)
                del read
            assert y is not None
            x = y
        return x

    def _terms(
        self, axis: int, tile: Tile, x: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """Pixels of the part, one for each output, and their weights; None for 1."""
        key = (axis, tile, x.dtype, x.device)
        if key not in self._laid_out:
            with _disable_current_modes():  # who counts memory counts the run: these stay, as weights do
                self._laid_out[key] = self._lay_out(axis, tile, x)
        return self._laid_out[key]

    def _lay_out(
        self, axis: int, tile: Tile, x: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        terms = []
        for places, weights in terms_of(self._reads[axis], tile):
            shaped = None
            if weights is not None:
                shaped = torch.tensor(weights, dtype=x.dtype, device=x.device).view(-1, *[1] * (1 - axis))
            terms.append((torch.tensor(places, device=x.device), shaped))
        return terms


def terms_of(reads: Taps, tile: Tile) -> list[tuple[list[int], list[float] | None]]:
    """What the outputs of a tile are sums of along one axis: for each term the pixels of the tile, one for each output, and their
    weights; None for 1.
    """
    last, terms = tile.stop - tile.start - 1, []
    chosen = [equally_many(taps, reads.most) for taps in reads.taps[tile.first : tile.last]]
    for number in range(reads.most):  # a pixel of another tile shows the nearest one of this
        places = [min(max(taps[number][0] - tile.start, 0), last) for taps in chosen]
        weights = [taps[number][1] for taps in chosen]
        alone = reads.most == 1 and all(weight == 1 for weight in weights)
        terms.append((places, None if alone else weights))
    return terms


def equally_many(taps: Sequence[tuple[int, float]], count: int) -> list[tuple[int, float]]:
    """The same sum of so many terms: the first one in halves, which neither rounds nor changes what is infinite."""
    terms = list(taps)
    while len(terms) < count:
        pixel, weight = terms[0]
        terms[0] = (pixel, weight / 2)
        terms.insert(1, (pixel, weight / 2))
    return terms
