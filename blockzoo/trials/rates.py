"""The same search of a learning rate for each block, before the trainings that are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.table import Row
from blockzoo.core.units import exact
from blockzoo.report.groups import (
    BEYOND,
    LR_SEARCH,
    LR_SEARCH_SEED,
    beyond,
    is_of_rates,
    name_of,
    rates_at_ends,
)
from blockzoo.trials.designs import Round, Rounds, Training, row_of

log = logging.getLogger(__name__)

FIRST_OF = ("mid", *POSITIONS)
"""The position that is searched at is the first of these that a block stands at."""


def with_learning_rates(
    networks: Sequence[NetworkSpec], rates: Sequence[float], design: Callable[[], Rounds]
) -> Rounds:
    """A design whose trainings have each the learning rate that was best for its block.

    Each block is trained once with each rate, at one position, with a seed that the design does not use. The best has the highest
    accuracy on the validation images after the last epoch; the test images are not looked at. Where it is the smallest or the
    largest, the search goes on beyond it, by the same factor, until a rate is worse or `BEYOND` more were tried. At each budget
    anew, as that gives another width.

    Args:
        networks: those of the design.
        rates: two or more.
        design: makes its rounds.
    """
    searched = {_tuned_with(network): network for network in networks}
    for network in networks:
        if _order(network) < _order(searched[_tuned_with(network)]):
            searched[_tuned_with(network)] = network
    rows: list[Row] = []
    listed = ", ".join(f"{rate:g}" for rate in rates)
    for rate in rates:
        is_last = rate == rates[-1]
        more = (
            f"; then, not counted yet, up to {BEYOND} more of each whose best is at an end" if is_last else ""
        )
        rows = yield Round(
            [Training(network, LR_SEARCH_SEED, rate) for network in searched.values()],
            LR_SEARCH,
            f"learning rate {rate:g} of {listed}: {len(searched)} networks{more}",
        )
    lower, higher = beyond(rates)
    for step in range(BEYOND):
        best = _best(rows)
        further = [
            Training(network, LR_SEARCH_SEED, outer[step])
            for block, network in searched.items()
            for end, outer in ((min(rates), lower), (max(rates), higher))
            if best.get(block) == (end, *outer)[step]
        ]
        if not further:
            break
        rows = yield Round(
            further,
            LR_SEARCH,
            f"learning rates beyond {listed}, where the best is at an end: {len(further)} networks",
        )
    best = _best(rows)
    among = " ".join(map(exact, rates))
    if warning := rates_at_ends(list(best.values()), rates):
        log.warning("%s", warning)
    rounds = design()
    this_round = next(rounds)
    while True:
        trainings = [
            training._replace(lr=best.get(_tuned_with(training.network), rates[0]), lr_among=among)
            for training in this_round.trainings
        ]
        rows = yield Round(trainings, this_round.name, this_round.why)
        try:
            this_round = rounds.send([row for row in rows if not is_of_rates(row)])
        except StopIteration:
            return


def _tuned_with(network: NetworkSpec) -> tuple[str | None, str]:
    """Networks of one block at one budget have one learning rate."""
    return network.budget, name_of(row_of(network))


def _order(network: NetworkSpec) -> int:
    position = network.parsed.position
    return FIRST_OF.index(position) if position in FIRST_OF else len(FIRST_OF)


def _best(rows: Sequence[Row]) -> dict[tuple[str | None, str], float]:
    """By validation accuracy; the smallest of equal ones. A block of which none came to a result has none."""
    accuracies: dict[tuple[str | None, str], dict[float, float]] = {}
    for row in rows:
        if is_of_rates(row) and row.get("status") == "ok" and row.get("val_acc") is not None:
            accuracies.setdefault((row.get("budget"), name_of(row)), {})[row["lr"]] = row["val_acc"]
    return {block: max(sorted(of_block), key=of_block.__getitem__) for block, of_block in accuracies.items()}
