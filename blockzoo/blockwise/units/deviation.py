"""How far workers went from the centre, and how old the centre was that they started from."""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.view import RunView


@UNITS.register("deviation")
class Deviation:
    """Distance of each worker's block from its start, before communication; and its staleness in rounds."""

    def measure(self, run: RunView) -> dict[str, Any]:
        """One per block; None for those that rested."""
        if run.last is None:
            return {"deviation": None, "staleness_rounds": None}
        moved = [value for value in run.last.movement if value is not None]
        return {
            "deviation": run.last.movement,
            "deviation_largest": max(moved, default=0.0),
            "staleness_rounds": run.last.staleness,
        }
