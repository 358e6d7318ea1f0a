"""What rows of a table are compared: those of one group, each network by its name, at the budget that it was given."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, TypeGuard

from blockzoo.core.budget import Budget
from blockzoo.core.contracts import DEFAULT_FILLER
from blockzoo.core.table import OWN, TIERS

Row = dict[str, Any]

SHARED = (
    "dataset",
    "protocol",
    "epochs",
    "batch_size",
    "lr",
    "lr_among",
    "num_blocks",
    "base_channels",
    "limit_train",
    "budget",
    "dtype",
    "filler",
    "transition",
    "callbacks",
    "start",
)
"""What rows of one group have in common; also the key of rows that carry no `comparable`."""
BEYOND = 2
"""Rates that a search goes on to beyond each end of what it was given, where the best lies there."""
LR_SEARCH, LR_SEARCH_SEED = "learning rates", 999
"""The end of the experiment name, and the seed, of trainings that learning rates are chosen by."""
HALVING_ROUND, HALVING_SEED = "halving, round {}", 900
"""The end of the experiment name of trainings that blocks are chosen by; the seed of the first such round."""
HALVING_END, FOLLOW_UP = "halving, final", "follow-up"
"""The ends of names of the trainings of what was chosen; of those that test the predictions of worths in company."""
_OF_HALVING = re.compile(HALVING_ROUND.format(r"\d+") + "$")
OF_STAGE_SIZE = ("active_width", "active_blocks")
"""Columns of the width and depth of the stage under test."""


def group_of(row: Row) -> tuple[tuple[str, Any], ...]:
    """What a row shares with those it may be compared with."""
    own = "lr" if row.get("lr_among") else ""
    shared = [(name, value) for name in SHARED if (value := row.get(name)) is not None and name != own]
    return (*shared, ("comparable", row.get("comparable")))


def short_name(group: Sequence[tuple[str, Any]]) -> str:
    """Of a group, for addresses: equal for equal groups, whatever else the results hold."""
    text = json.dumps([list(pair) for pair in group], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def is_of_rates(row: Row) -> bool:
    """Whether a learning rate was chosen by this training."""
    return row.get("seed") == LR_SEARCH_SEED and str(row.get("experiment_name") or "").endswith(LR_SEARCH)


def is_of_a_search(row: Row) -> bool:
    """Whether a learning rate or a block was chosen by this training: its accuracy flatters, and stands in no table of means."""
    return is_of_rates(row) or _is_of_halving(str(row.get("experiment_name") or ""))


@lru_cache(maxsize=256)
def _is_of_halving(experiment: str) -> bool:
    return bool(_OF_HALVING.search(experiment))


def beyond(among: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Learning rates that a search goes on with below and above those that it was given, by the factor of the last two there.

    Examples:
        >>> beyond([0.2, 0.8])
        ((0.05, 0.0125), (3.2, 12.8))
    """
    rates = sorted(among)
    steps = range(1, BEYOND + 1)
    lower = tuple(float(f"{rates[0] * (rates[0] / rates[1]) ** step:.6g}") for step in steps)
    return lower, tuple(float(f"{rates[-1] * (rates[-1] / rates[-2]) ** step:.6g}") for step in steps)


def tiers_of(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows others handed in, by tier."""
    counts = Counter(tier for row in rows if (tier := row.get("tier")) not in (None, "", OWN))
    return {tier: counts[tier] for tier in TIERS if tier in counts}


def rates_at_ends(chosen: Sequence[float], among: Sequence[float]) -> str:
    """For how many blocks the best learning rate is the last that the search went on to, and theirs may lie further; "" for none.

    Args:
        chosen: of each block.
        among: what the search was given.

    Examples:
        >>> rates_at_ends([0.0125, 0.2, 0.8, 3.2], [0.2, 0.8])[:70]
        'the best learning rate is the last searched for 1 of 4 blocks (0.0125)'
    """
    lower, higher = beyond(among)
    last = [rate for rate in chosen if rate in (lower[-1], higher[-1])]
    if not last:
        return ""
    which = ", ".join(f"{rate:g}" for rate in sorted(set(last)))
    return (
        f"the best learning rate is the last searched for {len(last)} of {len(chosen)} blocks ({which}): theirs may lie further, "
        "so search from another list"
    )


def describe_group(group: tuple[tuple[str, Any], ...]) -> str:
    """What a group has in common, as a caption."""
    facts = dict(group)
    parts = [str(facts["dataset"])] if "dataset" in facts else []
    parts += [f"{facts['protocol']}"] if "protocol" in facts else []
    parts += [f"{facts['epochs']} epochs"] if "epochs" in facts else []
    parts += [f"batch {facts['batch_size']}"] if "batch_size" in facts else []
    parts += [f"lr {facts['lr']:g}"] if "lr" in facts else []
    parts += [f"each block's best lr, from {facts['lr_among']}"] if "lr_among" in facts else []
    if "num_blocks" in facts:
        plural = "" if facts["num_blocks"] == 1 else "s"
        parts.append(f"{facts['num_blocks']} block{plural} a stage, width {facts.get('base_channels')}")
    parts += [f"{facts['budget']}"] if "budget" in facts else []
    if "limit_train" in facts:
        parts.append(f"{facts['limit_train']:,} training images")
    parts += ["bfloat16"] if facts.get("dtype") == "bfloat16" else []
    parts += [f"fillers {facts['filler']}"] if facts.get("filler", DEFAULT_FILLER) != DEFAULT_FILLER else []
    parts += [f"{facts['transition']} transitions"] if facts.get("transition", "own") != "own" else []
    parts += [f"with callbacks {facts['callbacks']}"] if "callbacks" in facts else []
    parts += [f"from weights {facts['start']}"] if "start" in facts else []
    return ", ".join(parts)


def name_of(row: Row) -> str:
    """Of its block, with what is its own in width and depth where no budget has chosen them: those are other networks."""
    block = str(row["block"])
    if row.get("budget"):
        return block
    width, depth = row.get("active_width"), row.get("active_blocks")
    if is_number(width) and width != 1:
        block += f" x{width:g}"
    if is_number(depth) and is_number(usual := row.get("num_blocks")) and depth != usual:
        block += f" ({depth:g} blocks)"
    return block


def is_filler(row: Row) -> bool | None:
    """Whether its block is what the other stages hold, as wide and deep: one network at all positions. None: not known."""
    if row.get("filler") is None:
        return None
    usual = row.get("num_blocks")
    return (
        row["block"] == row["filler"]
        and row.get("active_width") in (None, 1)
        and row.get("active_blocks") in (None, usual)
    )


class Spent:
    """What the stages under test of a table cost, as multiples of their budgets.

    A time is that of all networks beside one another, where the table has it and the reference's: the one by which the width was
    found was of two networks.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._reference: dict[Any, float] = {}
        for row in rows:
            if (
                (budget := _budget_of(row))
                and budget.track == "iso-latency"
                and row.get("block") == budget.against
            ) and is_number(time := row.get("stage_latency_ms")):
                self._reference[group_of(row), row.get("position")] = time

    def off(self, row: Row) -> float | None:
        """How many times its budget the stage of a row costs; None where it costs that, or has none."""
        if (budget := _budget_of(row)) is None:
            return None
        ratio, time = row.get("budget_ratio"), row.get("stage_latency_ms")
        if budget.track == "iso-latency" and is_number(time):
            if budget.absolute is not None:
                ratio = time / (budget.amount * budget.absolute)
            elif reference := self._reference.get((group_of(row), row.get("position"))):
                ratio = time / reference
        return ratio if is_number(ratio) and not budget.is_met_by(ratio) else None

    def is_compared(self, row: Row) -> bool:
        """Whether the stage of a row costs near enough to its budget for a verdict."""
        ratio, budget = self.off(row), _budget_of(row)
        return ratio is None or budget is None or budget.is_comparable(ratio)


def _budget_of(row: Row) -> Budget | None:
    return Budget.parse(str(row["budget"])) if row.get("budget") else None


def is_number(value: object) -> TypeGuard[float]:
    """Is it a finite one?"""
    return isinstance(value, (int, float)) and isfinite(value)
