"""Where the time of a round goes."""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.frame import Frame


@UNITS.register("time-split", aliases=("time_split",))
class TimeSplit:
    """Seconds of the last round: local steps, communication; and bytes that would travel between machines."""

    def measure(self, frame: Frame) -> dict[str, Any]:
        """Nothing before the first round."""
        if frame.last is None:
            return {}
        seconds = {f"{name}_s": value for name, value in frame.last.seconds.items()}
        return {**seconds, "communicated_bytes": frame.last.bytes_communicated}
