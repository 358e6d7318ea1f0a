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

OF_BUDGET = ("active_width", "active_blocks")
"""What a budget chooses."""


def command_of(spec: Mapping[str, Any], block: str, position: str, seeds: Iterable[int]) -> str:
    """One line for a shell: the trainings of a block at a position in these seeds.

    Args:
        spec: of one of them, as it is stored.
        block: the subject without its position.
        position: of it, or several with blanks between; empty for a whole network.
        seeds: of the trainings.
    """
    network = spec.get("network") or {}
    last = max(seeds, default=0)
    words = [
        "blockzoo",
        "sweep",
        "run",
        "--blocks",
        block,
        "--positions",
        *position.split(),
        "--seeds",
        str(last + 1),
    ]
    if not position:
        words = ["blockzoo", "train", block, "--seed", str(last)]
    left_out: set[str] = set()
    if network.get("budget"):
        budget = Budget.parse(str(network["budget"]))
        words += ["--track", budget.track, "--budgets", f"{budget.amount:g}"]
        words += ["--against", str(budget.against)] if str(budget.against) != DEFAULT_FILLER else []
        left_out |= set(OF_BUDGET)
    if spec.get("lr_among"):
        words += ["--learning-rates", *str(spec["lr_among"]).split()]
        left_out.add("lr")
    words += list(_options(Scaffold, network, left_out if position else set(settings_of(Scaffold))))
    words += [*_options(Recipe, spec, left_out), *_options(Data, spec, left_out)]
    return plain(shlex.join(words), lines=False)


def _options(table: type, values: Mapping[str, Any], left_out: set[str]) -> Iterable[str]:
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
    return f"{value:.12g}" if isinstance(value, float) else str(value)
