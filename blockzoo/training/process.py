"""The process that trains: its device, its place among several, and who hears of the training."""

from __future__ import annotations

from dataclasses import dataclass

from blockzoo.training.listeners import Listeners
from blockzoo.training.together import ALONE, Ranks


@dataclass(frozen=True)
class TrainingProcess:
    """A process that trains, or evaluates.

    Args:
        device: "cpu" or "cuda".
        ranks: this process among the spec's `devices`; all of them make the same call.
        workers: processes that read images for this one, where they stay in their files.
        listeners: what hears of the training.
    """

    device: str = "cpu"
    ranks: Ranks = ALONE
    workers: int = 0
    listeners: Listeners = Listeners()


HERE = TrainingProcess()
