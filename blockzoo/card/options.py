"""The settings of a card that are of no lens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from blockzoo.core.checked import Checked, Count, setting
from blockzoo.core.contracts import DEFAULT_FILLER
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Data, Recipe, Run, Scaffold

OTHER = "InvertedResidual"
"""What the usual reference itself is compared with."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
SCAFFOLD = Scaffold(num_blocks=1, base_channels=16)
RECIPE = Recipe(epochs=5, batch_size=64, lr=0.2)
DATA = Data(dataset="digits", image_size=16)
RUN = Run(output=Path("results/card"))
"""Small enough for several trainings of each network in minutes, on images that come with the package's dependencies."""


@dataclass(frozen=True, kw_only=True)
class Carding(Checked):
    """What a card is made within, and what its subject is compared with."""

    time_budget: str = setting(
        "10m", "for the whole command, as in 90s, 10m or 1h: what does not fit is left out by name"
    )
    against: str = setting(
        DEFAULT_FILLER, f"the block that it is compared with ({OTHER} where the subject is that block)"
    )
    zoo: Path | None = setting(
        None,
        "a results folder, store or table of other blocks: those of its trainings that are comparable stand beside the subject",
    )
    most_seeds: Count = setting(5, "trainings of each network at most", unit="seeds")
    tiles: str = setting("H2x2", "how the block is cut where it is trained on tiles")
    plan_size: Count = setting(
        64, "side of the images for which its network is planned in tiles", unit="pixels"
    )


def seconds_of(text: str) -> float:
    """Of a time as it is typed.

    Raises:
        UsageError: it is none.

    Examples:
        >>> seconds_of("10m"), seconds_of("90s"), seconds_of("1.5h"), seconds_of("45")
        (600.0, 90.0, 5400.0, 45.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if match is None or not float(match[1]) > 0:
        raise UsageError(f"time budget {text!r}: give a time such as 90s, 10m or 1h")
    return float(match[1]) * UNITS[match[2] or "s"]
