"""What is read off a clock (`measure/timings.py`), as the table of results has it."""

from __future__ import annotations

from blockzoo.core.contracts import QUANTITIES
from blockzoo.core.quantity import OnTheClock


@QUANTITIES.register("latency_ms")
class LatencyMs(OnTheClock):
    """Median time of one forward pass of one image through the deployed network, milliseconds."""

    unit, heading, place = "ms", ("ms", 1), 65
    axis, picture = "latency of one image, ms", "latency"


@QUANTITIES.register("throughput")
class Throughput(OnTheClock):
    """Images per second at batch 256 (or the largest batch measured), from the median time."""

    unit, better, of_stage, place = "images/s", "higher", False, 67
