"""Where the time of a round goes."""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.view import RunView


@UNITS.register("time-split", aliases=("time_split",))
class TimeSplit:
    """Seconds of the last round: local steps, communication; and bytes that would travel between machines."""

    def measure(self, run: RunView) -> dict[str, Any]:
        """Nothing before the first round."""
        if run.last is None:
            return {}
        seconds = {f"{name}_s": value for name, value in run.last.seconds.items()}
        return {**seconds, "communicated_bytes": run.last.bytes_communicated}
