"""Multiply-adds, which are counted while a part is called to see what it gives (`measure/macs.py`)."""

from __future__ import annotations

from blockzoo.core.contracts import QUANTITIES
from blockzoo.core.quantity import OnPaper, Specimen


@QUANTITIES.register("macs")
class Macs(OnPaper[int]):
    """Multiply-adds of one image through the deployed network (one multiply-add is one MAC)."""

    unit, label, heading, place = "MACs", "MACs (multiply-adds)", ("MACs, M", 1e6), 40

    def measure(self, specimen: Specimen) -> int:
        return specimen.macs


@QUANTITIES.register("flops")
class Flops(OnPaper[int]):
    """FLOPs of one image through the deployed network: 2 x MACs of convolutions and matrix products."""

    unit, label, axis, picture, place = (
        "FLOPs", "FLOPs (2 x MACs)", "FLOPs per image (2 x MACs)", "flops", 50,
    )  # fmt: skip

    def measure(self, specimen: Specimen) -> int:
        return 2 * specimen.macs
