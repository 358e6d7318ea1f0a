"""What the commands of this lens are asked for: each setting one field, with default, sentence and range. No tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from blockzoo.core.checked import Checked, Count, Finite, Positive, needing, setting

PUBLISHED_WIDTH = 32
"""Channels of the first stage of the published benchmark's networks."""
WIDTH = "channels of the first stage"
Unit = Literal["trainings", "seconds"]
Duplicates = Literal["free", "charged"]
Scenario = Literal["scratch", "blocks", "logits", "finetune"]


@dataclass(frozen=True, kw_only=True)
class Timing(Checked):
    """Networks whose parts are timed."""

    width: Count = setting(PUBLISHED_WIDTH, WIDTH, unit="channels")
    image_size: Count = setting(32, "side length of the images", unit="pixels")
    num_classes: Count = setting(100, "of the networks")
    check: Annotated[int, Ge(2)] = setting(30, "whole networks timed to state the error")
    seconds: Positive = setting(
        60.0, "for the whole command, torch's import included; one round is always made", unit="s"
    )


@dataclass(frozen=True, kw_only=True)
class Contest(Checked):
    """What search algorithms are given."""

    budget: Finite = setting(200.0, "how much each search may spend")
    unit: Unit = setting("trainings", "trainings, or simulated seconds")
    duplicates: Duplicates = setting("free", "training a network again is free or charged")
    seeds: Count = setting(20, "searches per algorithm")
    workers: Count | None = setting(None, "processes (default: one per core)")


@dataclass(frozen=True, kw_only=True)
class Teaching(Checked):
    """How a network learns beside a teacher."""

    scenario: Scenario = setting("blocks", "scratch, blocks (features, NSR loss), logits (KD) or finetune")
    width: Count = setting(PUBLISHED_WIDTH, f"{WIDTH} of both", unit="channels")
    epochs: Count = setting(5, "of the student, and of the teacher")
    finetune_epochs: Annotated[int, Ge(0)] = needing(
        "--scenario blocks", setting(1, "on labels, after learning block by block")
    )
    batch_size: Count = setting(64, "images per step", unit="images")
    lr: Positive = setting(0.05, "peak learning rate", names=("--learning-rate",))


@dataclass(frozen=True, kw_only=True)
class Sharing(Checked):
    """How one network that holds the space is trained."""

    epochs: Count = setting(10, "passes over the training images")
    batch_size: Count = setting(64, "images per step", unit="images")
    width: Count | None = setting(None, f"{WIDTH} (default: the benchmark's)", unit="channels")
