"""The width and depth at which the stage under test costs what a budget says: the width is varied, then the depth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import nn

from blockzoo.core.budget import MOST_DEEPENED, Budget
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError, reason_of
from blockzoo.core.spec import NetworkSpec
from blockzoo.measure.contenders import shape_before_stage, time_modules
from blockzoo.measure.costs import Costs, measure_chain, total
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import ScaffoldNet, scaffold_parts, usual_width

MOST_WIDENED = 16
"""How many times its usual width a stage may get."""
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Of which a block's width may have to be one."""
NEAR = 4
"""Steps of width to either side that are tried where the nearest costs are not those of neighbours."""
SECONDS = 1.0
"""For one comparison of two stages on the clock."""

Cost = Callable[[NetworkSpec], float]


def fitted(network: NetworkSpec, budget: Budget, shape: Sequence[int]) -> NetworkSpec:
    """Give the stage under test the width, and where that is not enough the depth, at which it costs its budget.

    Widths are whole channels that the block can have. Among depths the nearest to the usual one that comes within 2 % (10 % of a
    time) is taken; where none does, the nearest cost of all.

    Args:
        network: a block in the scaffold.
        budget: how much of which cost.
        shape: (B, C, H, W) of the images; times are of one image.

    Returns:
        The network, with the budget and what its stage costs, as a multiple of it.

    Raises:
        UsageError: not a block; a width or depth of its own; a cost that is not known, or is none; no width is possible here.
    """
    if not network.parsed.is_block:
        raise UsageError(
            f"{network.subject} is a whole network: budgets are of the stage of the scaffold that holds a block"
        )
    if (network.active_width, network.active_blocks) != (1.0, None):
        raise UsageError(
            f"{network.subject}: a track chooses width and depth: leave out --active-width and --active-blocks"
        )
    usual = _usual(network)
    wanted, cost = (
        _on_clock(usual, budget, shape) if budget.track == "iso-latency" else _counted(usual, budget, shape)
    )
    search = _Search(usual, budget, shape, wanted, cost)
    best = None
    for depth in _by_distance(usual.num_blocks):
        for candidate, ratio in search.at_depth(depth):
            if best is None or _off(ratio) < _off(best[1]):
                best = candidate, ratio
        if best is not None and budget.is_met_by(best[1]):
            break
    if best is None:
        raise UsageError(f"{network.subject} has no width at which it can stand there: {search.refused}")
    return replace(best[0], budget=str(budget), budget_ratio=best[1])


@CHECKS.register("budget")
def check_budget(network: NetworkSpec, stage_cost: float, shape: Sequence[int]) -> float:
    """What the stage of a network that was given a budget is said to cost, against what it costs where it is trained.

    Catches: a width that other code has found, or images of another size than those of the training; a search that gives
    another network than the one whose cost it looked at.

    Tolerance: none; both are quotients of the same whole numbers.

    Cost: the reference's stage is counted once in a process, 10 to 100 ms.

    Args:
        network: with a budget of parameters or MACs.
        stage_cost: of its stage, in what the budget holds.
        shape: (B, C, H, W) of the images.
    """
    ratio = stage_cost / _wanted(_usual(network), Budget.parse(str(network.budget)), shape)
    if ratio != network.budget_ratio:
        raise CheckFailed(
            f"check 'budget' failed: the stage of {network.label} costs {ratio:g} of its budget here, and not "
            f"{network.budget_ratio:g}: start the sweep anew in an empty folder"
        )
    return 0.0


def stage_costs(network: NetworkSpec, shape: Sequence[int]) -> Costs:
    """Of the stage under test alone, without memory."""
    parts = scaffold_parts(network)
    parts = parts[: max(index for index, part in enumerate(parts) if part.active) + 1]
    chain = measure_chain([(part.key, part.build) for part in parts], shape, memory=False)
    return total([measured for measured, part in zip(chain, parts, strict=True) if part.active])


def _counted(usual: NetworkSpec, budget: Budget, shape: Sequence[int]) -> tuple[float, Cost]:
    def cost(network: NetworkSpec) -> float:
        costs = stage_costs(network, shape)
        if budget.held == "macs" and costs.uncounted_operations:
            unknown = ", ".join(costs.uncounted_operations)
            raise UsageError(
                f"{budget} cannot hold {usual.subject}: nobody knows the multiply-adds of {unknown}"
            )
        return float(getattr(costs, budget.held))

    return _wanted(usual, budget, shape), cost


def _usual(network: NetworkSpec) -> NetworkSpec:
    """The network before it was given a budget."""
    return replace(network, active_width=1.0, active_blocks=None, budget=None, budget_ratio=None)


def _wanted(usual: NetworkSpec, budget: Budget, shape: Sequence[int]) -> float:
    if budget.absolute is not None:
        return budget.amount * budget.absolute
    return budget.amount * float(getattr(stage_costs(_reference(usual, budget), shape), budget.held))


def _reference(usual: NetworkSpec, budget: Budget) -> NetworkSpec:
    return replace(usual, subject=f"{budget.against}/{usual.parsed.position}")


def _on_clock(usual: NetworkSpec, budget: Budget, shape: Sequence[int]) -> tuple[float, Cost]:
    """Milliseconds of one image; relative to the reference's, which is timed beside each candidate.

    The whole networks take turns with their stages, as when all are timed in the end: alone, a small stage stays in the caches
    and seems up to a fifth faster than it is in any network.
    """
    absolute, image = budget.absolute, (1, *shape[1:])

    def cost(network: NetworkSpec) -> float:
        timed: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}
        beside = [] if absolute else [("reference", _reference(usual, budget))]
        for name, spec in [("candidate", network), *beside]:
            built = build_network(spec, seed=0).eval()
            assert isinstance(built, ScaffoldNet)
            timed[name] = built.active_stage, shape_before_stage(built, image)
            timed[f"{name}, whole"] = built, image
        times, _ = time_modules(timed, seconds=SECONDS)
        if absolute:
            return statistics.median(times["candidate"])
        return statistics.median(a / b for a, b in zip(times["candidate"], times["reference"], strict=True))

    return budget.amount * (absolute or 1.0), cost


def _by_distance(usual: int) -> Iterator[int]:
    """Depths, the nearest first; of two as near the smaller."""
    return iter(sorted(range(1, MOST_DEEPENED * usual + 1), key=lambda depth: (abs(depth - usual), depth)))


def _off(ratio: float) -> float:
    return abs(math.log(ratio))


class _Search:
    """Widths of one block, whose costs are known to it once they were asked for."""

    def __init__(
        self, usual: NetworkSpec, budget: Budget, shape: Sequence[int], wanted: float, cost: Cost
    ) -> None:
        self.usual, self.budget, self.shape, self.wanted, self.cost = usual, budget, shape, wanted, cost
        self.channels = usual_width(usual)
        self.refused = ""
        self.known: dict[tuple[int, int], float | None] = {}
        self.step = self._step()

    def at_depth(self, depth: int) -> Iterator[tuple[NetworkSpec, float]]:
        """The widths to both sides of the budget, each with its cost as a multiple of it; one where there is no other side."""
        least, most = 1, max(1, MOST_WIDENED * self.channels // self.step)
        if self._ratio(least, depth) is None:
            least = next((n for n in range(2, 9) if self._ratio(n, depth) is not None), 0)
            if not least:
                return
        low, high = least, least
        while high < most and (self._ratio(high, depth) or 0.0) < 1:
            low, high = high, min(most, 2 * high)
        while high - low > 1:
            middle = (low + high) // 2
            ratio = self._ratio(middle, depth)
            low, high = (middle, high) if ratio is None or ratio < 1 else (low, middle)
        near = {low, high}
        if not any(self.budget.is_met_by(self._ratio(n, depth) or 0.0) for n in near):
            near |= set(
                range(max(1, low - NEAR), high + NEAR + 1)
            )  # a cost that does not only rise with the width
        for number in sorted(near):
            if ratio := self._ratio(number, depth):
                yield self._network(number * self.step, depth), ratio

    def _step(self) -> int:
        """The smallest number of which all multiples seem to be widths of the block."""
        large = MULTIPLES[-1] * -(-self.channels // MULTIPLES[-1])
        return next((step for step in MULTIPLES if self._stands(large + step)), MULTIPLES[-1])

    def _stands(self, width: int) -> bool:
        try:
            stage_costs(self._network(width, 1), self.shape)
        except UsageError:
            return False
        return True

    def _ratio(self, number: int, depth: int) -> float | None:
        """Cost at `number` steps of width, as a multiple of the budget; None where the block cannot have it."""
        cost = self._at(number * self.step, depth)
        return None if cost is None else cost / self.wanted

    def _at(self, width: int, depth: int) -> float | None:
        if (width, depth) not in self.known:
            try:
                cost = self.cost(self._network(width, depth))
            except UsageError as error:
                self.refused, cost = reason_of(error), 0.0
            self.known[width, depth] = cost or None
        return self.known[width, depth]

    def _network(self, width: int, depth: int) -> NetworkSpec:
        return replace(self.usual, active_width=width / self.channels, active_blocks=depth)
