"""The same search of a learning rate for each block, before the trainings that are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.table import Row
from blockzoo.report.groups import LR_SEARCH, LR_SEARCH_SEED, is_of_a_search, name_of, rates_at_ends
from blockzoo.trials.designs import Round, Rounds, Training, row_of

log = logging.getLogger(__name__)

FIRST_OF = ("mid", *POSITIONS)
"""The position that is searched at is the first of these that a block stands at."""


def with_learning_rates(
    networks: Sequence[NetworkSpec], rates: Sequence[float], design: Callable[[], Rounds]
) -> Rounds:
    """A design whose trainings have each the learning rate that was best for its block.

    Each block is trained once with each rate, at one position, with a seed that the design does not use. The best has the highest
    accuracy on the validation images after the last epoch; the test images are not looked at. At each budget anew, as that gives
    another width.

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
    for rate in rates:
        rows = yield Round(
            [Training(network, LR_SEARCH_SEED, rate) for network in searched.values()],
            LR_SEARCH,
            f"learning rate {rate:g} of {', '.join(f'{r:g}' for r in rates)}: {len(searched)} networks",
        )
    best = _best(rows, rates)
    among = " ".join(f"{rate:g}" for rate in rates)
    if said := rates_at_ends(list(best.values()), rates):
        log.warning("%s", said)
    rounds = design()
    asked = next(rounds)
    while True:
        trainings = [
            training._replace(lr=best.get(_tuned_with(training.network), rates[0]), lr_among=among)
            for training in asked.trainings
        ]
        rows = yield Round(trainings, asked.name, asked.why)
        try:
            asked = rounds.send([row for row in rows if not is_of_a_search(row)])
        except StopIteration:
            return


def _tuned_with(network: NetworkSpec) -> tuple[str | None, str]:
    """Networks of one block at one budget have one learning rate."""
    return network.budget, name_of(row_of(network))


def _order(network: NetworkSpec) -> int:
    position = network.parsed.position
    return FIRST_OF.index(position) if position in FIRST_OF else len(FIRST_OF)


def _best(rows: Sequence[Row], rates: Sequence[float]) -> dict[tuple[str | None, str], float]:
    """By validation accuracy; the first of equal ones. A block of which none came to a result has none."""
    accuracies: dict[tuple[str | None, str], dict[float, float]] = {}
    for row in rows:
        if is_of_a_search(row) and row.get("status") == "ok" and row.get("val_acc") is not None:
            accuracies.setdefault((row.get("budget"), name_of(row)), {})[row["lr"]] = row["val_acc"]
    return {
        block: max((rate for rate in rates if rate in of_block), key=of_block.__getitem__)
        for block, of_block in accuracies.items()
        if any(rate in of_block for rate in rates)
    }
