"""A card made: the parts of all lenses within a time, one page, one JSON."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo import __version__
from blockzoo.card.answer import Evidence, answer
from blockzoo.card.block import WhatItIs
from blockzoo.card.celled import CellCosts, CellTraining
from blockzoo.card.coupled import Coupling
from blockzoo.card.desk import Asked, Desk
from blockzoo.card.isolate import Clocks, Costs, Operations, Training
from blockzoo.card.made import Card
from blockzoo.card.options import DATA, RECIPE, RUN, SCAFFOLD, Carding, seconds_of
from blockzoo.card.page import page_of
from blockzoo.card.schedule import Outcome, Schedule
from blockzoo.card.standing import Standings, beside
from blockzoo.card.tiled import TiledTraining, TilePlan
from blockzoo.core.began import began
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.environment import describe, environment
from blockzoo.core.files import write_text
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import now
from blockzoo.core.settings import Data, Recipe, Run, Scaffold
from blockzoo.core.text import file_name, plain

if TYPE_CHECKING:
    from blockzoo.card.schedule import CardPart

FOLDER = "cards"
"""Of the results folder."""
RESERVE_S, RESERVE = 3.0, 0.02
"""Seconds that are kept for the page, and of the budget."""
VERSIONS = ("blockzoo", "torch", "python", "numpy")
LATER = 3
"""Seeds of what is trained beside the subject in the scaffold: on tiles, as a cell."""


def parts_of(most_seeds: int) -> list[CardPart[Desk]]:
    """All parts of a card."""
    trainings: list[CardPart[Desk]] = [
        Training(place, seed) for seed in range(most_seeds) for place in POSITIONS
    ]
    later: list[CardPart[Desk]] = [
        one for seed in range(min(LATER, most_seeds)) for one in (TiledTraining(seed), CellTraining(seed))
    ]
    return [
        Costs(),
        Clocks(),
        *trainings,
        TilePlan(),
        CellCosts(),
        Coupling(),
        *later,
        Operations(),
        WhatItIs(),
    ]


def make_card(
    subject: str | type,
    *,
    carding: Carding | None = None,
    settings: tuple[Scaffold, Recipe, Data, Run] = (SCAFFOLD, RECIPE, DATA, RUN),
    heard: Callable[[Outcome], None] = lambda outcome: None,
) -> Card:
    """Look at one block through all lenses within a time, and write a page and a JSON of it.

    Trainings, times, coupling maps and plans go to the results store, where they are found the next time.

    Args:
        subject: a block of the zoo, `my_file.py:MyBlock`, or a class.
        carding: what it is made within, from the start of the command on where one runs, and compared with.
        settings: of its trainings.
        heard: told of each part.

    Raises:
        UsageError, StoreError, DataError: an unknown name, no block, results that cannot be read or written.
    """
    since = began()
    carding = carding or Carding()
    budget = seconds_of(carding.time_budget)
    load_plugins(settings[3].plugins)
    request = Asked.of(subject, carding, *settings)
    desk = _desk(request)
    schedule = Schedule(parts_of(carding.most_seeds), budget, since, max(RESERVE_S, RESERVE * budget))
    desk.left = lambda: schedule.left
    outcomes = schedule.run(desk, heard)
    desk.export()
    standings = Standings.of(desk)
    done = {one.part: one.made.figures for one in outcomes if one.status == "done"}
    costs, ratios = done.get("costs", {}).get("costs", {}), done.get("clocks", {}).get("ratios", {})
    evidence = Evidence(request.name, request.reference, standings.block, costs, ratios)
    text = [*answer(evidence), _scope(desk)]
    spent = (schedule.clock() - since, budget)
    card = Card(request, text, outcomes, standings, evidence, _provenance(desk), spent, desk.outputs.database)
    return _written(card, desk, schedule.clock() - since)


def _desk(asked: Asked) -> Desk:
    """With all that can be wrong with the request found first."""
    from blockzoo.trials.training import available_device

    desk = Desk(asked, elsewhere=beside(asked.carding.zoo))
    _ = asked.reference, desk.store
    desk.device = available_device(asked.run.device)
    return desk


def _scope(desk: Desk) -> str:
    """What the answer is of."""
    images, scaffold = desk.images, desk.asked.scaffold
    spec = desk.trial(desk.asked.name, POSITIONS[1], 0)
    trained, tested = (
        min(limit or len(split.labels), len(split.labels))
        for limit, split in ((spec.limit_train, images.train), (spec.limit_test, images.test))
    )
    return (
        f"All of it in networks of {scaffold.num_blocks} block{'s' * (scaffold.num_blocks != 1)} a stage, width "
        f"{scaffold.base_channels}, trained for {spec.epochs} epochs ({spec.protocol}) on {trained:,} images of {images.name} "
        f"and tested on {tested:,}: what holds here need not hold at other sizes or on other images."
    )


def _provenance(desk: Desk) -> dict[str, str]:
    """Command, versions, hardware, protocol, data."""
    facts, spec = environment(), desk.trial(desk.asked.name, POSITIONS[1], 0)
    scaffold = {
        name.replace("_", " "): value
        for name, value in vars(desk.asked.scaffold).items()
        if value is not None
    }
    zoo = f", and the trainings in {desk.asked.carding.zoo}" if desk.asked.carding.zoo else ""
    called = (
        shlex.join(["blockzoo", *sys.argv[1:]]) if Path(sys.argv[0]).stem in ("blockzoo", "__main__") else ""
    )
    return {
        "command": called or f"make_card({desk.asked.name!r})",
        "protocol": f"{spec.protocol}, {spec.epochs} epochs, batch {spec.batch_size}, lr {spec.lr:g}, {spec.threads} thread(s)",
        "data": f"{desk.images.name}, split {desk.images.split}, images {' x '.join(map(str, desk.images.shape))}",
        "scaffold": ", ".join(f"{name} {value}" for name, value in scaffold.items()),
        "compared with": f"{desk.asked.reference}{zoo}",
        "hardware": describe(facts),
        "versions": ", ".join(f"{name} {facts[name]}" for name in VERSIONS if facts.get(name)),
        "revision": str(facts.get("revision") or ""),
        "source of the block": str(spec.network.parsed.source_digest() or ""),
        "records": str(desk.outputs.database),
        "made": now(),
    }


def _written(card: Card, desk: Desk, seconds: float) -> Card:
    """The card with its files."""
    stem = _stem(card.asked.name)
    folder = desk.outputs.folder / FOLDER
    card = replace(
        card, seconds=(seconds, card.seconds[1]), files=(folder / f"{stem}.html", folder / f"{stem}.json")
    )
    page, values = card.files
    footer = f"Made {now()[:10]} by blockzoo {__version__}."
    write_text(page, page_of(card, page.name, footer), durable=False)
    write_text(values, json.dumps(_plain(card.to_json()), indent=2, allow_nan=False) + "\n", durable=False)
    return card


def _stem(name: str) -> str:
    """Of the files of a card: another one for another name."""
    stem = file_name(name)[:80]
    return stem if stem == name else f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _plain(value: Any) -> Any:
    """As JSON has it: numbers that are none become null, paths and texts are texts."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return plain(str(value))
