"""The blocks of a table in the order of their worths at a position, with the noise of each; and how far two such orders agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.report.additive import Table, fitted_to, is_one_network
from blockzoo.report.agreement import Agreement, Order, agreement

if TYPE_CHECKING:
    from jaxtyping import Float

Placed = tuple[Table, str]
"""A table, and a position in it."""


def order_at(table: Table, position: str, name: str = "") -> Order:
    """The blocks of a table at one position by their mean accuracies, with the errors that the spread between trainings makes.

    The spread is what block and seed leave at this position, in all of its blocks.
    """
    cells = table.at(position)
    fitted = fitted_to(cells)
    means = {block: float(np.mean(list(of.values()))) for (block, _), of in fitted.leveled(cells).items()}
    order = Order(name or position, means)
    counts = {block: len(of) for (block, _), of in cells.items()}
    if max(counts.values(), default=0) < 2:
        return replace(order, why="one seed of each block says nothing of the noise between trainings")
    if len({frozenset(of) for of in cells.values()}) > 1 and not fitted.luck:
        return replace(order, why="its blocks have too few seeds in common to take the luck of seeds off")
    if not fitted.deviation:
        return replace(order, why="what block and seed leave is nothing: there is no noise to be seen")
    errors = {block: fitted.deviation / count**0.5 for block, count in counts.items()}
    remarks = []
    if min(counts.values()) < 3:
        remarks.append("with fewer than three seeds it cannot be seen whether blocks vary alike")
    if not fitted.shared:
        remarks.append("blocks do not vary alike: the errors are those of the average spread")
    return replace(order, errors=errors, degrees=fitted.degrees, remark="; ".join(remarks))


def between(first: Placed, second: Placed, names: tuple[str, str]) -> Agreement | None:
    """The agreement of the orders of two tables at a position each; None of fewer than four blocks.

    Args:
        first: a table and the position in it.
        second: another one, or the same at another position.
        names: of the two orders.
    """
    orders = [order_at(*of, name) for of, name in zip((first, second), names, strict=True)]
    return agreement(*orders, shared=shared_noise(first, second, orders))


def shared_noise(first: Placed, second: Placed, orders: list[Order]) -> dict[str, float]:
    """The covariance of the errors of each block's two means, from what its trainings of the same seeds leave in both.

    A block that is one network in both (the filler as the block under test) has one error.
    """
    one, other = (
        {block: of for (block, at), of in table.items() if at == place} for table, place in (first, second)
    )
    blocks = [block for block in one if block in other]
    seeds = [s for s in next(iter(one.values()), {}) if all(s in one[b] and s in other[b] for b in blocks)]
    covariances = {}
    if len(seeds) >= 2 and len(blocks) >= 2:
        left = [_left(np.array([[of[b][s] for s in seeds] for b in blocks])) for of in (one, other)]
        each = float((left[0] * left[1]).sum()) / ((len(blocks) - 1) * (len(seeds) - 1))
        covariances = {b: each * len(seeds) / (len(one[b]) * len(other[b])) for b in blocks}
    for block in blocks:
        is_one = is_one_network((first[0], (block, first[1])), (second[0], (block, second[1])))
        if is_one and all(block in order.errors for order in orders):
            covariances[block] = orders[0].errors[block] * orders[1].errors[block]
    return covariances


def _left(values: Float[np.ndarray, "blocks seeds"]) -> Float[np.ndarray, "blocks seeds"]:
    """What row and column leave of a table."""
    return np.asarray(values - values.mean(1, keepdims=True) - values.mean(0) + values.mean())
