"""How a file of int8 is made: each setting one field, with its default, its sentence and its range. No tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from blockzoo.core.checked import Checked, Count, needing, setting

INT8 = "--dtype int8"
Method = Literal["minmax", "entropy", "percentile"]


@dataclass(frozen=True, kw_only=True)
class Quantising(Checked):
    """How a network becomes one of int8: calibrated on a stratified draw of the training images."""

    calibration_images: Count = needing(
        INT8, setting(256, "images for training that give the ranges", unit="images")
    )
    calibration: Method = needing(
        INT8,
        setting(
            "minmax",
            "how ranges are found: by the extremes, or by histograms, which leave outliers out and need more memory",
        ),
    )
    weight_bits: Literal[7, 8] = needing(
        INT8, setting(8, "with 7 the result is the same on processors without VNNI instructions")
    )
