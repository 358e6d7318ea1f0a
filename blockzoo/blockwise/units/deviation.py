"""How far workers went from the centre, and how old the centre was that they started from."""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.frame import Frame


@UNITS.register("deviation")
class Deviation:
    """Distance of each worker's block from its start, before communication; and its staleness in rounds."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """One per block; None for those that rested."""
        if frame.last is None:
            return {"deviation": None, "staleness_rounds": None}
        moved = [value for value in frame.last.movement if value is not None]
        return {
            "deviation": frame.last.movement,
            "deviation_largest": max(moved, default=0.0),
            "staleness_rounds": frame.last.staleness,
        }
