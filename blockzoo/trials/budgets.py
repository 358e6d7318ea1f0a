"""The networks of a grid, each as wide and deep as its budget makes it; what was found is stored, so that a sweep that goes on is
the same one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from blockzoo.core.budget import HELD, Budget, budgets_of
from blockzoo.core.environment import environment
from blockzoo.core.errors import UsageError, reason_of
from blockzoo.core.record import Record
from blockzoo.core.settings import Budgeting
from blockzoo.core.spec import NetworkSpec, fingerprint_of
from blockzoo.core.store import Store
from blockzoo.core.units import exact
from blockzoo.execution.progress import Progress

KIND = "budget"
"""Of the records."""
CHOSEN = ("active_width", "active_blocks", "budget_ratio")
"""What they hold of a network."""


@dataclass(frozen=True)
class Budgeted:
    """The networks of a grid, and the records of how their width and depth were found."""

    networks: list[NetworkSpec]
    records: list[Record]


def budgeted(
    networks: Sequence[NetworkSpec],
    budgeting: Budgeting,
    shape: tuple[int, int, int],
    store: Store | None,
    progress: Progress,
) -> Budgeted:
    """Each network at each budget; as they are on the track `native`.

    Args:
        networks: blocks in the scaffold.
        budgeting: the track, and how much of it.
        shape: (C, H, W) of the images.
        store: what was found earlier is taken from here.
        progress: told what happens.

    Raises:
        UsageError: blocks that cannot be given a budget, all of them with their reasons; or a budget that none comes near.
    """
    budgets = budgets_of(budgeting)
    if not budgets:
        return Budgeted(list(networks), [])
    from blockzoo.measure.budgets import fitted

    cache = {} if store is None else {record.fingerprint: record for record in store.records(KIND)}
    variants: dict[NetworkSpec, None] = {}
    records: list[Record] = []
    refused: list[str] = []
    total = len(networks) * len(budgets)
    for network in networks:
        for budget in budgets:
            progress.preparing(f"widths for {budgeting.track}", len(variants) + len(refused), total)
            identity = _identity(network, budget, shape)
            if identity not in cache:
                try:
                    made_for = fitted(network, budget, (1, *shape))
                except UsageError as error:
                    refused.append(f"  {network.subject}: {reason_of(error)}")
                    continue
                record = Record(KIND, identity, network.subject, asdict(network), environment=environment())
                record.values |= {name: getattr(made_for, name) for name in CHOSEN}
                record.reason = budget.why_not(made_for.budget_ratio)
                cache[identity] = record
                records.append(record)
            values: dict[str, Any] = cache[identity].values
            variants[replace(network, budget=str(budget), **{name: values[name] for name in CHOSEN})] = None
    if refused:
        raise UsageError("\n".join(["these cannot be given their budget:", *refused]))
    for budget in budgets:
        _tell_misses(budget, [network for network in variants if network.budget == str(budget)], progress)
    return Budgeted(list(variants), records)


def _tell_misses(budget: Budget, networks: Sequence[NetworkSpec], progress: Progress) -> None:
    """Which stages miss it, before anything is trained.

    Raises:
        UsageError: none but the reference itself costs nearly that, so nothing would be compared.
    """
    ratios = {network: network.budget_ratio or 1.0 for network in networks}
    others = [network for network in networks if network.parsed.name != budget.against] or [*networks]
    if others and not any(budget.is_comparable(ratios[network]) for network in others):
        nearest = min(others, key=lambda network: abs(math.log(ratios[network])))
        amount = float(f"{ratios[nearest] * budget.amount:.2g}")
        raise UsageError(
            f"budget {budget}: no stage costs nearly that, so nothing would be compared; the nearest is {nearest.subject}, at "
            f"{ratios[nearest]:.3g} times as much: ask for about {exact(amount)}"
        )
    missed = [
        f"{network.subject} {ratio:.3g}{'' if budget.is_comparable(ratio) else ', in no verdict'}"
        for network, ratio in ratios.items()
        if not budget.is_met_by(ratio)
    ]
    if missed:
        progress.phase(f"{budget}: these cost so many times as much: {'; '.join(missed)}")


def _identity(network: NetworkSpec, budget: Budget, shape: tuple[int, int, int]) -> str:
    """Of the question which width and depth a budget gives; where it is timed, on which machine too."""
    usual = replace(network, active_width=1.0, active_blocks=None)
    question = {"network": usual.identity(), "budget": str(budget), "shape": list(shape)}
    if HELD[budget.track] == "latency_ms":
        facts = environment()
        question["here"] = [facts.get(name) for name in ("cpu", "threads", "torch")]
    return fingerprint_of(question)
