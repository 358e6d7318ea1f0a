"""The command that makes a row of the results again, from the spec that is stored with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from blockzoo.core.budget import Budget
from blockzoo.core.checked import settings_of
from blockzoo.core.contracts import DEFAULT_FILLER
from blockzoo.core.settings import Data, Recipe, Scaffold
from blockzoo.core.text import plain
from blockzoo.core.units import exact

OF_BUDGET = ("active_width", "active_blocks")
"""What a budget chooses."""


def command_of(spec: Mapping[str, Any], block: str, position: str, seeds: Iterable[int]) -> str:
    """The trainings of a block at a position in these seeds and no others: lines for a shell, or why there are none.

    Seeds 0 to n - 1 are one sweep; others are trainings, a line each, at the width, depth and learning rate that were found.

    Args:
        spec: of one of them, as it is stored.
        block: the subject without its position.
        position: of it, or several with blanks between; empty for a whole network.
        seeds: of the trainings.
    """
    if reason := beyond_commands(spec):
        return f"No command makes it again: {reason}."
    distinct, places = sorted(set(seeds)), position.split()
    if places and distinct == list(range(len(distinct))):
        commands = [_sweep(spec, block, places, len(distinct))]
    else:
        settings = [*_options(Scaffold, (spec.get("network") or {}) if places else {}), *_of_training(spec)]
        subjects = [f"{block}/{place}" for place in places] or [block]
        commands = [
            ["blockzoo", "train", subject, "--seed", str(seed), *settings]
            for seed in distinct
            for subject in subjects
        ]
    return "\n".join(plain(shlex.join(words), lines=False) for words in commands)


def beyond_commands(spec: Mapping[str, Any]) -> str:
    """Why no command makes a training again, as a clause; "" where one does."""
    if callbacks := spec.get("callbacks"):
        return plain(f"it was handed callbacks in Python ({callbacks})", lines=False)
    if start := spec.get("start_identity"):
        return plain(f"it began from weights ({start}) that a command would not find", lines=False)
    return ""


def _sweep(spec: Mapping[str, Any], block: str, places: list[str], seeds: int) -> list[str]:
    """Words of the sweep of so many seeds."""
    words = ["blockzoo", "sweep", "run", "--blocks", block, "--positions", *places, "--seeds", str(seeds)]
    network = spec.get("network") or {}
    chosen: set[str] = set()
    if network.get("budget"):
        budget = Budget.parse(str(network["budget"]))
        words += ["--track", budget.track, "--budgets", exact(budget.amount)]
        words += ["--against", str(budget.against)] if str(budget.against) != DEFAULT_FILLER else []
        chosen |= set(OF_BUDGET)
    if spec.get("lr_among"):
        words += ["--learning-rates", *str(spec["lr_among"]).split()]
        chosen.add("lr")
    return [*words, *_options(Scaffold, network, chosen), *_of_training(spec, chosen)]


def _of_training(spec: Mapping[str, Any], left_out: Iterable[str] = ()) -> list[str]:
    return [*_options(Recipe, spec, left_out), *_options(Data, spec, left_out)]


def _options(table: type, values: Mapping[str, Any], left_out: Iterable[str] = ()) -> Iterable[str]:
    """Options of settings that differ from their defaults."""
    for name, field in settings_of(table).items():
        value = values.get(name)
        if (
            name in left_out
            or value is None
            or value == field.default
            or (name == "images" and value == "resident")
        ):
            continue
        option = f"--{name.replace('_', '-')}"
        if value is True:
            yield option
        else:
            yield option
            yield from map(_word, value if isinstance(value, list | tuple) else [value])


def _word(value: object) -> str:
    return exact(value) if isinstance(value, float) else str(value)
