"""Which trainings a comparison is made of, round by round: what comes next follows from what came out.

A design is a generator: it yields rounds, and is sent the rows of all trainings so far.
"""

from __future__ import annotations

import logging
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from blockzoo.core.contracts import DEFAULT_FILLER, POSITIONS, STAGES
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Designing
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.table import Row
from blockzoo.measure.deadline import Deadline
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.crossed import ENOUGH, crossed_models
from blockzoo.report.difference import Difference
from blockzoo.report.effects_fit import Design, Network
from blockzoo.report.groups import FOLLOW_UP, HALVING_END, HALVING_ROUND, HALVING_SEED, group_of, name_of

log = logging.getLogger(__name__)
FRESH = 1000
"""The first seed of trainings that nothing was chosen by."""
SURE = 0.001
"""Of a difference that is looked at after each seed: a verdict below this stands (Haybittle and Peto), others go on."""
MOST_SEEDS = 50
ALIKE = 3
"""Seeds in which a difference is the same, after which no more are added."""


class Training(NamedTuple):
    """One training of a design; of the recipe only what is its own."""

    network: NetworkSpec
    seed: int
    lr: float | None = None
    lr_among: str | None = None


@dataclass(frozen=True)
class Round:
    """Trainings that can run side by side.

    Args:
        trainings: networks, seeds, and learning rates where they were chosen.
        name: of the experiment, in the rows; "" for the user's.
        why: what this round is, in words.
    """

    trainings: list[Training]
    name: str = ""
    why: str = ""


Rounds = Generator[Round, list[Row], None]


def isolated(networks: Sequence[NetworkSpec], seeds: Sequence[int], designing: Designing) -> Rounds:
    """Every network with every seed; with a precision, then one seed more where a verdict is open.

    A verdict is open where the 95 % interval of a difference is wider to a side than the precision, and the difference not
    sure beyond doubt (p < 0.001: looking again and again at 5 % would find what is not there).

    Args:
        networks: blocks at positions.
        seeds: of the first round.
        designing: its precision, and the hours, of the command from its start, within which a further round is to end at the
            pace of the rounds so far.
    """
    deadline = Deadline.of_command(None if designing.hours is None else 3600 * designing.hours)
    following = Round([Training(network, seed) for seed in seeds for network in networks])
    slowest = 0.0
    while True:
        before = time.perf_counter()
        rows = yield following
        took = (time.perf_counter() - before) / len(following.trainings)
        slowest = max(took, slowest)
        if designing.precision is None:
            return
        more, ended = _open(networks, rows, designing.precision / 100)
        is_late = bool(more) and max(slowest * len(more), _longest(rows)) > deadline.left()
        if is_late:
            log.warning(
                "--hours %g: %.2g h are left, in which %d trainings more would not be done, so open verdicts stay open",
                designing.hours,
                deadline.left() / 3600,
                len(more),
            )
        if is_late or not more:
            for why, pairs in ended.items():
                more_of = f" and {len(pairs) - 3:,} more" if len(pairs) > 3 else ""
                log.warning("no seeds are added for differences %s: %s%s", why, ", ".join(pairs[:3]), more_of)
            return
        following = Round(more, why=f"{len(more)} trainings more, where a verdict is open")


def _longest(rows: list[Row]) -> float:
    """Seconds of the longest training: a round takes as long, whatever was in the store before."""
    return max((float(row.get("training_time") or 0.0) for row in rows), default=0.0)


def _open(
    networks: Sequence[NetworkSpec], rows: list[Row], precision: float
) -> tuple[list[Training], dict[str, list[str]]]:
    """The next seed of each network of which a difference is not known well enough; differences of which none follows, by why.

    A difference that is the same in each seed has no interval: blocks that are all at chance, or all without a fault.
    """
    network_of = {
        (network.budget, name_of(row_of(network)), network.parsed.position): network for network in networks
    }
    seeds: dict[NetworkSpec, list[int]] = defaultdict(list)
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        if (network := network_of.get((row.get("budget"), name_of(row), row.get("position")))) is not None:
            seeds[network].append(int(row["seed"]))
            groups[group_of(row)].append(row)
    more: dict[Training, None] = {}
    ended: dict[str, list[str]] = defaultdict(list)
    for of_group in groups.values():
        budget = of_group[0].get("budget")
        for difference in _judged(of_group):
            interval = difference.interval
            narrow = interval is not None and (interval[1] - interval[0]) / 2 <= precision
            if narrow or (difference.p is not None and difference.p < SURE):
                continue
            pair = f"{difference.block} and {difference.other} at {difference.position}"
            if interval is None and difference.n >= ALIKE:
                ended[f"that are the same in each of {ALIKE} seeds or more"].append(pair)
                continue
            both = [
                network_of[budget, name, difference.position or None]
                for name in (difference.block, difference.other)
            ]
            following = 1 + max(seed for network in both for seed in seeds[network])
            if following < min(seeds[both[0]]) + MOST_SEEDS:
                more |= {Training(network, following): None for network in both}
            else:
                ended[f"that are open after {MOST_SEEDS} seeds"].append(pair)
    return list(more), ended


def row_of(network: NetworkSpec) -> Row:
    """What the name of a network's row is made of."""
    return {
        "block": network.parsed.label,
        "budget": network.budget,
        "active_width": network.active_width,
        "active_blocks": network.active_blocks or network.num_blocks,
        "num_blocks": network.num_blocks,
    }


def _judged(rows: list[Row]) -> list[Difference]:
    """Differences from the reference where it is there, else of all pairs."""
    names = list(dict.fromkeys(name_of(row) for row in rows))
    if DEFAULT_FILLER not in names:
        return [difference for comparison in verdicts(rows) for difference in comparison.differences]
    judged = []
    for name in names:
        if name != DEFAULT_FILLER:
            try:
                (comparison,) = compare(rows, name, DEFAULT_FILLER)
            except UsageError:  # it never came to a result, or misses its budget
                continue
            judged += [
                difference for difference in comparison.differences if difference.position in POSITIONS
            ]
    return judged


def halving(networks: Sequence[NetworkSpec], seeds: Sequence[int], designing: Designing) -> Rounds:
    """One seed of all, one more of the better half at each position, and so on; then fresh seeds for the survivors.

    The halves are chosen by validation accuracy, with seeds of their own. What is said of the survivors comes from trainings that
    nothing was chosen by, so that it is not better than they are: the rounds stand in no table.

    Args:
        networks: blocks at positions.
        seeds: how many fresh ones the survivors get.
        designing: how many survive at each position.
    """
    left, before, number = list(networks), None, 0
    while len(left) != before and (number == 0 or _most_at_once(left) > designing.survivors):
        rows = yield Round(
            [Training(network, HALVING_SEED + number) for network in left],
            HALVING_ROUND.format(number + 1),
            f"{len(left)} networks",
        )
        left, before, number = _better(left, rows, designing.survivors), len(left), number + 1
    fresh = [FRESH + place for place in range(len(seeds))]
    yield Round(
        [Training(network, seed) for seed in fresh for network in left],
        HALVING_END,
        f"fresh seeds for {len(left)} networks",
    )


def _place(network: NetworkSpec) -> tuple[str | None, str | None]:
    """Networks of one place are compared."""
    return network.budget, network.parsed.position


def _most_at_once(networks: list[NetworkSpec]) -> int:
    return max(Counter(map(_place, networks)).values())


def _better(networks: list[NetworkSpec], rows: list[Row], survivors: int) -> list[NetworkSpec]:
    """The better half at each position by mean validation accuracy, but not fewer than survive."""
    accuracies: dict[object, list[float]] = defaultdict(list)
    for row in rows:
        if row.get("status") == "ok" and row.get("val_acc") is not None:
            accuracies[row.get("budget"), name_of(row), row.get("position")].append(row["val_acc"])

    def accuracy(network: NetworkSpec) -> float:
        of = accuracies.get((network.budget, name_of(row_of(network)), network.parsed.position))
        return statistics.fmean(of) if of else -1.0

    kept = set()
    for place in dict.fromkeys(map(_place, networks)):
        members = [network for network in networks if _place(network) == place]
        count = max(survivors, -(-len(members) // 2))
        kept |= set(sorted(members, key=accuracy, reverse=True)[:count])
    return [network for network in networks if network in kept]


def in_company(pattern: NetworkSpec, blocks: Sequence[str], designing: Designing) -> Rounds:
    """The crossed design; then, where asked for, the networks that its model predicts to be best, and as many at random.

    Args:
        pattern: a network whose subject is replaced.
        blocks: their names.
        designing: replicates, repeats, and how many to follow up.
    """
    design = crossed(blocks, designing.replicates, designing.repeats)
    rows = yield Round([Training(replace(pattern, subject=subject), seed) for subject, seed in design])
    if not designing.follow:
        return
    (model,) = crossed_models(rows)
    trained = {training.network for training in model.trainings}
    best = [network for _, network in model.best(designing.follow + len(trained)) if network not in trained]
    best = best[: designing.follow]
    draw, others = random.Random(0), dict[tuple[str, ...], None]()
    possible = len(blocks) ** len(POSITIONS) - len(trained | set(best))
    while len(others) < min(designing.follow, possible):
        network = tuple(draw.choice(list(blocks)) for _ in POSITIONS)
        if network not in trained and network not in best:
            others[network] = None
    chosen = [f"{STAGES}:{','.join(network)}" for network in (*best, *others)]
    yield Round(
        [Training(replace(pattern, subject=subject), FRESH) for subject in chosen],
        FOLLOW_UP,
        f"{len(best)} networks that are predicted to be best, {len(others)} at random",
    )


LEAST_BLOCKS = 4
"""Of a crossed design: with fewer, a block has no varied company."""


def crossed(
    blocks: Sequence[str], replicates: int, repeats: int = 0, *, draw: int = 0
) -> list[tuple[str, int]]:
    """Networks with a block in every stage, each with the seed of its training.

    In each replicate every block stands once at each position. A replicate shifts the middle and the last stage by so many blocks
    in an order that is drawn once: see `_shifts`. No two blocks meet twice at the same two positions, and the effects of all
    blocks at all positions can be told apart, which is checked. A replicate is one seed, so seeds take nothing from the
    comparison of blocks.

    Args:
        blocks: their names, at least four.
        replicates: trainings of each block at each position.
        repeats: times that the networks of the first are trained again, with seeds of their own: what these differ by is noise.
        draw: seed of the order.

    Raises:
        UsageError: too few blocks, one twice, more replicates than there is company, or too few to tell effects apart.

    Examples:
        >>> crossed(["A", "B", "C", "D", "E"], 4)[0]
        ('stages:D,D,E', 0)
        >>> len(crossed(["A", "B", "C", "D", "E"], 5, 1))
        30
    """
    names, count = list(blocks), len(blocks)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"a crossed design has every block once, not {', '.join(twice)} twice")
    if count < LEAST_BLOCKS:
        raise UsageError(
            f"a crossed design of {count} blocks: name {LEAST_BLOCKS} or more, so that their company varies"
        )
    if replicates > (most := count if count % 2 else count - 1):
        raise UsageError(
            f"{replicates} replicates of {count} blocks: from the {most + 1}th on, the same blocks meet again; "
            f"ask for {most} or fewer, or name more blocks"
        )
    order = random.Random(draw)
    early, mid, late = (order.sample(names, count) for _ in range(3))

    def replicate(number: int, seed: int) -> list[tuple[Network, int]]:
        one, other = _shifts(count, number)
        return [((early[i], mid[(i + one) % count], late[(i + other) % count]), seed) for i in range(count)]

    trainings = [one for number in range(replicates) for one in replicate(number, number)]
    trainings += [one for again in range(repeats) for one in replicate(0, replicates + again)]
    design = Design.of(trainings)
    if len(design.untold) or design.degrees < 1:
        raise UsageError(
            f"{replicates} replicates and {repeats} repeats of {count} blocks cannot tell {design.matrix.shape[1]} effects "
            f"apart, and from noise: ask for {ENOUGH}, or more of both"
        )
    return [(f"{STAGES}:{','.join(network)}", seed) for network, seed in trainings]


def _shifts(count: int, number: int) -> tuple[int, int]:
    """Of the middle and of the last stage in a replicate.

    Of an odd number of blocks by k and 2k. Of an even one 2k would leave blocks at even places with those at even places for
    ever; there the last stage is shifted by k, and the middle one by half of k, or of k + count, rounded down, where k is odd.
    In both, shifts of either stage, and their differences, are all different; and three replicates tell effects apart: with w a
    root of unity of the order of the shifts, their vectors (1, w^shift, w^shift) are linearly independent for each w but 1.
    """
    if count % 2:
        return number, 2 * number
    return (number + count * (number % 2)) // 2, number
