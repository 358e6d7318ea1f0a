"""A stopper of one's own: ends a run once the loss falls by less than some amount from one report to the next.

blockzoo blockwise --plugin examples/blockwise/own_stopper.py --stopper plateau:0.001 --dataset digits
"""

from __future__ import annotations

from blockzoo.contracts import STOPPERS


@STOPPERS.register("plateau")
class Plateau:
    """`plateau:0.001`: the validation loss fell by less than that."""

    def __init__(self, argument: str) -> None:
        self.least = float(argument)
        self._before: float | None = None

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """Compares with the report before."""
        before, self._before = self._before, values["loss"]
        if before is not None and before - values["loss"] < self.least:
            return f"the validation loss fell by {before - values['loss']:.2g} only"
        return None
