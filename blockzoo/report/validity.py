"""Whether what a block is worth alone holds elsewhere: in mixed networks, in a benchmark of cells, in published networks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.report.additive import Table
from blockzoo.report.agreement import Agreement, Order, agreement
from blockzoo.report.block_orders import order_at
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.crossed import Crossed, crossed_models
from blockzoo.report.effects_fit import Network
from blockzoo.report.elsewhere import of_columns
from blockzoo.report.groups import Row, describe_group
from blockzoo.report.published import FACTOR, above_the_line, cost_alike

if TYPE_CHECKING:
    from jaxtyping import Float

ALLOWED = {"filler", "budget", "lr", "lr_among", "transition", "threads", "devices", "images", "batch_size"}
"""Settings in which trainings alone and in company may differ, and which are then named."""
RESAMPLED = 1000
ALONE, OVERALL = "alone", "mean"
"""The name of the isolated order, and the position of the mean over all."""
MEANING = {
    "worths in company": "whether blocks that do well among equal fillers do well beside varied company too, in trainings of the "
    "same kind; not that blocks do not interact",
    "mixed networks": "whether the sum of the worths alone of its three blocks orders whole networks; were the blocks others, "
    "tau would be within the interval. Compare it with the held-out correlation of `results --worths`",
    "published": "whether the order holds on ImageNet. Compared are points above the line of accuracy against log multiply-adds "
    "of the networks listed, which were trained by different recipes, differ in more than the block, and have one training each, "
    "whose noise nobody knows: a tau near 0 does not show that blocks behave otherwise there",
    "published, alike": f"the same of pairs of blocks with networks within a factor of {FACTOR:g} in multiply-adds",
    "operations": "whether operations of a benchmark of cells are worth most where their nearest kin of the zoo are; they are no "
    "blocks of the zoo, each has several layers, and pairs of one stage alone are compared",
}
"""What a comparison tells, and what it does not."""


@dataclass(frozen=True)
class Validity:
    """How well worths alone agree with something else.

    Args:
        kind: of `MEANING`.
        other: what they are compared with, in words.
        position: where.
        group: what the isolated trainings have in common.
        agreement: first the isolated order.
        note: what differs beside, in words.
    """

    kind: str
    other: str
    position: str
    group: str
    agreement: Agreement
    note: str = ""

    @property
    def sentence(self) -> str:
        """What it means."""
        where = "over all positions" if self.position == OVERALL else f"at {self.position}"
        return f"worths alone {where} and {self.other}: {self.agreement.sentence.partition(': ')[2]}"


@dataclass(frozen=True)
class OperationWorths:
    """What a benchmark says of operations that have kin among the blocks.

    Args:
        name: of the benchmark.
        values: fractions, by block and position.
        errors: their standard errors.
        degrees: of freedom of the errors.
        note: which operation stands for which block, and how the benchmark was made.
    """

    name: str
    values: Mapping[tuple[str, str], float]
    errors: Mapping[tuple[str, str], float]
    degrees: int
    note: str


def validities(
    rows: Iterable[Row], mixed: Iterable[Row] = (), effects: OperationWorths | None = None
) -> tuple[list[Validity], list[str]]:
    """All comparisons that there are, and what cannot be compared, as sentences.

    Args:
        rows: of isolated trainings; networks of a crossed design among them count too.
        mixed: of a crossed design.
        effects: of a benchmark.

    Raises:
        UsageError: nothing can be compared.
    """
    rows = list(rows)
    groups = [of for of in comparables(rows) if len(_blocks(of.table)) > 1]
    if not groups:
        raise UsageError("no two blocks were trained alone here: `blockzoo sweep run` trains them")
    comparisons: list[Validity] = []
    missing: list[str] = []
    crossed = [of for of in comparables([*rows, *mixed]) if of.crossed]
    for of in groups:
        parts = [in_company(of, crossed), against_published(of)]
        parts += [] if effects is None else [against_operations(of, effects)]
        for part, why in parts:
            comparisons += part
            missing += [f"{why} ({describe_group(of.group)})" if len(groups) > 1 else why] if why else []
    if not comparisons:
        raise UsageError("; ".join(missing))
    return comparisons, list(dict.fromkeys(missing))


Part = tuple[list[Validity], str]
"""Comparisons, or why there are none."""


def in_company(of: Comparable, crossed: Sequence[Comparable]) -> Part:
    """Against worths in company at each position, and against whole networks.

    Args:
        of: isolated trainings.
        crossed: groups of networks with a block in every stage.
    """
    if not crossed:
        return [], (
            "mixed networks: none here; `blockzoo sweep run --design crossed` trains them, and --mixed names their folder"
        )
    own, comparisons, reasons = of_columns(of.rows[0]), [], []
    for group in crossed:
        other = of_columns(group.crossed[0])
        different = [name for name in dict.fromkeys((*own, *other)) if own.get(name) != other.get(name)]
        if barred := [name for name in different if name not in ALLOWED]:
            reasons.append(", ".join(barred))
            continue
        try:
            (model,) = crossed_models(group.crossed, of.column)
        except UsageError as error:
            reasons.append(str(error))
            continue
        named = [name for name in different if name not in ("threads", "filler")]
        note = f"they differ in {', '.join(named)} too" if named else ""
        comparisons += [*_worths(of, model, note), *_networks(of, model, note)]
    if comparisons:
        return comparisons, ""
    why = (
        f"they differ in {min(reasons, key=len)}" if reasons else "fewer than 4 blocks of a position in both"
    )
    return [], f"mixed networks: {why}"


def _worths(of: Comparable, model: Crossed, note: str) -> list[Validity]:
    comparisons = []
    for position in POSITIONS:
        there = {worth.block: worth for worth in model.worths.values() if worth.position == position}
        values = {block: worth.value for block, worth in there.items()}
        errors = {block: worth.error for block, worth in there.items()}
        order = Order("in company", values, errors, model.fit.degrees)
        both = agreement(order_at(of.table, position, ALONE), order)
        if both is not None:
            kind = "worths in company"
            comparisons.append(Validity(kind, kind, position, describe_group(of.group), both, note))
    return comparisons


def _networks(of: Comparable, model: Crossed, note: str) -> list[Validity]:
    """Whole networks, by the sum of the worths alone of their blocks."""
    orders = [order_at(of.table, position).values for position in POSITIONS]
    by_seed: dict[object, list[float]] = defaultdict(list)
    for training in model.trainings:
        by_seed[training.seed].append(training.accuracy)
    seen: dict[Network, list[float]] = defaultdict(list)
    for training in model.trainings:
        if all(block in order for block, order in zip(training.network, orders, strict=True)):
            seen[training.network].append(training.accuracy - float(np.mean(by_seed[training.seed])))
    networks = sorted(seen)
    if len(networks) < 10:
        return []
    sums = np.array([sum(order[b] for b, order in zip(network, orders, strict=True)) for network in networks])
    means = np.array([np.mean(seen[network]) for network in networks])
    whole = agreement(
        Order("sums", dict(zip(map(str, networks), sums.tolist(), strict=True))),
        Order("networks", dict(zip(map(str, networks), means.tolist(), strict=True))),
    )
    if whole is None:
        return []
    interval = _were_blocks_others(networks, sums, means)
    why = "" if interval else "fewer than 4 blocks at a position: what other blocks would give is not known"
    whole = replace(whole, interval=interval, why=why)
    other = f"accuracies of {len(networks)} networks"
    return [Validity("mixed networks", other, OVERALL, describe_group(of.group), whole, note)]


def _were_blocks_others(
    networks: list[Network], first: Float[np.ndarray, " networks"], second: Float[np.ndarray, " networks"]
) -> tuple[float, float] | None:
    """95 % of tau when the blocks of each position are drawn anew, and with them the networks: a network counts as often as its
    blocks together.

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007): it errs on the side of wide intervals.
    """
    blocks = [sorted({network[place] for network in networks}) for place in range(len(POSITIONS))]
    if min(map(len, blocks)) < 4:
        return None
    places = np.array([[at.index(b) for b, at in zip(network, blocks, strict=True)] for network in networks])
    draw = np.random.default_rng(0)
    one, other = np.triu_indices(len(networks), 1)
    signs = np.sign(first[one] - first[other]) * np.sign(second[one] - second[other])
    taus = []
    for _ in range(RESAMPLED):
        counts = [draw.multinomial(len(at), np.full(len(at), 1 / len(at))) for at in blocks]
        weight = np.prod([of[places[:, p]] for p, of in enumerate(counts)], axis=0)
        of_pairs = weight[one] * weight[other]
        if of_pairs.sum() > 0:
            taus.append(float((of_pairs * signs).sum() / of_pairs.sum()))
    low, high = np.quantile(taus, [0.025, 0.975])
    return float(low), float(high)


def against_published(of: Comparable) -> Part:
    """Against published networks of comparable cost, at each position and on the mean over all.

    Args:
        of: isolated trainings.
    """
    line, comparisons = above_the_line(), []
    orders = {position: order_at(of.table, position, ALONE) for position in of.positions if position}
    if len(orders) > 1:
        orders[OVERALL] = _mean(of.table, orders)
    note = (
        ""
        if dict(of.group).get("budget")
        else "blocks of this table differ in cost (no --track): so may their worths"
    )
    for position, order in orders.items():
        for kind, alike in (("published", None), ("published, alike", cost_alike)):
            if position != OVERALL and alike:
                continue
            both = agreement(order, line, comparable=alike)
            if both is not None:
                other = "ImageNet accuracies above the line" + (
                    f", pairs within {FACTOR:g}x" if alike else ""
                )
                comparisons.append(Validity(kind, other, position, describe_group(of.group), both, note))
    return comparisons, "" if comparisons else "published networks: fewer than 4 blocks here have any"


def _mean(table: Table, orders: Mapping[str, Order]) -> Order:
    """Over the positions, of the blocks that stand at all of them."""
    everywhere = set.intersection(*(set(order.values) for order in orders.values()))
    values = {
        block: float(np.mean([order.values[block] for order in orders.values()])) for block in everywhere
    }
    if any(block not in order.errors for order in orders.values() for block in everywhere):
        return Order(ALONE, values, why=next((order.why for order in orders.values() if order.why), ""))
    errors = {
        block: math.sqrt(sum(order.errors[block] ** 2 for order in orders.values())) / len(orders)
        for block in everywhere
    }
    remark = next((order.remark for order in orders.values() if order.remark), "")
    return Order(ALONE, values, errors, sum(order.degrees for order in orders.values()), remark=remark)


def against_operations(of: Comparable, effects: OperationWorths) -> Part:
    """Against the effects of operations in a benchmark, pairs of one stage alone.

    Args:
        of: isolated trainings.
        effects: of the benchmark.
    """
    alone = {position: order_at(of.table, position) for position in of.positions}
    both = [(b, p) for b, p in effects.values if p in alone and b in alone[p].values]
    kin = sorted({block for block, _ in effects.values})
    if not kin:
        return [], f"{effects.name}: none of its operations is like a block of the zoo"
    if len({block for block, _ in both}) < len(kin):
        return [], f"{effects.name}: not all of {', '.join(kin)} were trained alone here"
    names = {cell: f"{cell[0]}/{cell[1]}" for cell in both}
    own = {names[b, p]: alone[p].values[b] for b, p in both}
    errors = {names[b, p]: alone[p].errors[b] for b, p in both if b in alone[p].errors}
    degrees = sum(alone[p].degrees for p in {p for _, p in both})
    why = next((order.why for order in alone.values() if order.why), "")
    first = Order(ALONE, _within_stages(own), errors if len(errors) == len(own) else {}, degrees, why=why)
    second = Order(
        effects.name,
        _within_stages({names[cell]: effects.values[cell] for cell in both}),
        {names[cell]: effects.errors[cell] for cell in both},
        effects.degrees,
    )
    agreed = agreement(first, second, comparable=lambda a, b: a.partition("/")[2] == b.partition("/")[2])
    if agreed is None:
        return [], f"{effects.name}: fewer than 4 operations and stages in both"
    other = f"effects of operations of {effects.name}"
    return [Validity("operations", other, "each stage", describe_group(of.group), agreed, effects.note)], ""


def _within_stages(values: Mapping[str, float]) -> dict[str, float]:
    """Less the mean of the stage."""
    of_stage: dict[str, list[float]] = defaultdict(list)
    for name, value in values.items():
        of_stage[name.partition("/")[2]].append(value)
    return {name: value - float(np.mean(of_stage[name.partition("/")[2]])) for name, value in values.items()}


def _blocks(table: Table) -> set[str]:
    return {block for block, _ in table}
