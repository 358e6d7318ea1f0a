"""Post-training quantisation of ONNX models to int8 by ONNX Runtime: activations of 8 bits, weights of 7 or 8, per channel."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.tiling.onnx.files import free, needed, saved
from blockzoo.tiling.onnx.fuse import Layers, layers_of
from blockzoo.tiling.onnx.normalise import normalised
from blockzoo.tiling.onnx.options import Quantising
from blockzoo.tiling.onnx.session import input_of
from blockzoo.tiling.onnx.special import INTEGERS

if TYPE_CHECKING:
    from onnx import ModelProto

METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


@dataclass(frozen=True)
class Calibration:
    """How ranges of activations are found, and how weights are rounded.

    Args:
        images: (n, C, H, W), normalised as for the network.
        method: "minmax": the extremes; "entropy" or "percentile": of histograms, which leave outliers out and need more memory.
        weight_bits: 8, or 7: products of pairs then fit 16 bits, so that processors without VNNI instructions compute the same.

    Raises:
        UsageError: an unknown method, other bits, no images.
    """

    images: np.ndarray
    method: str = Quantising.calibration
    weight_bits: int = Quantising.weight_bits

    def __post_init__(self) -> None:
        faults = []
        if self.method not in METHODS:
            faults.append(f"method {self.method!r}: choose {', '.join(METHODS)}")
        if self.weight_bits not in (7, 8):
            faults.append(f"weight_bits {self.weight_bits}: choose 7 or 8")
        if self.images.ndim != 4 or not len(self.images):
            faults.append(f"images of shape {self.images.shape}: give one or more, (n, C, H, W)")
        if faults:
            raise UsageError("; ".join(faults))


def quantise_onnx(
    source: str | Path, path: str | Path, calibration: Calibration, *, overwrite: bool = False
) -> Path:
    """Write an int8 form of an ONNX file, layers of integers (QLinearConv, ...) that `fuse_onnx` can cut.

    Args:
        source: a float32 network, one input (N, C, H, W).
        path: of the file to write.
        calibration: see there.
        overwrite: replace a file that is there.

    Raises:
        UsageError: a damaged file, one that is there already, images of another size, or the extra `onnx` is missing.
    """
    path = free(path, overwrite)
    return saved(quantised(layers_of(source)[0], calibration).model, path)


def quantised(layers: Layers, calibration: Calibration) -> Layers:
    """The same layers in int8; ranges are found on the network as it runs, blocks included."""
    quantisation = needed("onnxruntime.quantization")
    name, shape = input_of(layers.model)
    if calibration.images.shape[1:] != shape[1:]:
        raise UsageError(
            f"calibration images of {calibration.images.shape[1:]}: the network reads {shape[1:]}"
        )

    def write(model: ModelProto, path: Path, cache: Path | None) -> None:
        quantisation.quantize_static(
            model,
            str(path),
            _reader(quantisation, name, shape[0], calibration.images),
            quant_format=quantisation.QuantFormat.QOperator,
            per_channel=True,
            reduce_range=calibration.weight_bits == 7,
            activation_type=quantisation.QuantType.QUInt8,
            weight_type=quantisation.QuantType.QInt8,
            calibrate_method=getattr(quantisation.CalibrationMethod, METHODS[calibration.method]),
            **({"calibration_cache_path": cache} if cache else {}),
        )

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        cache = Path(folder) / "ranges.json" if layers.cuts else None
        if cache is not None:
            if "calibration_cache_path" not in signature(quantisation.quantize_static).parameters:
                raise UsageError(
                    "blocked layers are calibrated as they run, which this ONNX Runtime cannot: "
                    "pip install -U onnxruntime, of which those that can need Python 3.11"
                )
            write(layers.one_by_one(), path, cache)
        write(_copy(layers.model), path, cache)
        model = normalised(needed("onnx").load(str(path)))
        return replace(layers, model=model, plain=None, special=replace(layers.special, integers=INTEGERS))


def _copy(model: ModelProto) -> ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _reader(quantisation: Any, name: str, size: int, images: np.ndarray) -> Any:
    """Images in batches of the size that the model reads, the last one filled up from the first images."""

    class Batches(quantisation.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = self._all()

        def _all(self) -> Iterator[np.ndarray]:
            starts = range(0, len(images), size)
            for start in followed(starts, "calibrating", len(starts), "batches"):
                some = images[start : start + size]
                yield np.concatenate([some, np.resize(images, (size - len(some), *images.shape[1:]))])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {name: batch.astype(np.float32)}

    return Batches()


class _quiet:
    """ONNX Runtime's advice to preprocess, which is done here, is not shown."""

    def __enter__(self) -> None:
        self.level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self.level)
