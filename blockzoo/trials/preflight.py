"""What can be known of a network before it is trained: its costs on paper, and whether it can be deployed to be timed.

What cannot be had is said before the training and is a reason in its row; it neither holds up the training nor costs its record.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.budget import Budget
from blockzoo.core.errors import ContractBroken, reason_of
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec
from blockzoo.profile import profile_block

log = logging.getLogger(__name__)


@dataclass
class Known:
    """What a row says of a network whatever its training comes to.

    Args:
        values: its costs on paper.
        reasons: why some of them, or its times, will be missing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add_to(self, record: Record) -> None:
        """Write it into the record of a training."""
        record.values |= self.values
        record.reason = "; ".join(filter(None, (record.reason, *self.reasons)))


def known_before(
    network: NetworkSpec, shape: tuple[int, int, int], *, deploy: bool = False, strict: bool = False
) -> Known:
    """What is known of a network for one image of `shape` (C, H, W).

    Args:
        network: what is to be trained.
        shape: (C, H, W) of an image.
        deploy: also try whether it can be deployed, as it is timed afterwards.
        strict: what cannot be had is an error.

    Raises:
        ContractBroken: the block is not used.
        UsageError and others: with `strict`.
    """
    preflight = Known()
    try:
        preflight.values, notes = costs(network, shape, strict=strict)
        preflight.reasons += [f"costs: {note}" for note in notes]
    except ContractBroken:  # it will not be built for training either
        raise
    except Exception as error:
        if strict:
            raise
        preflight.reasons.append(f"costs: {reason_of(error)}")
    if network.budget is not None:
        preflight.reasons += _budget_found(network, preflight.values, shape)
    if deploy:
        try:
            _deployed(network, shape)
        except Exception as error:  # the row says it when the times are not there
            if strict:
                raise
            log.warning(f"{network.subject} will have no times: {reason_of(error)}")
    for reason in preflight.reasons:
        log.warning(f"{network.subject}, {reason}")
    if uncounted := preflight.values.get("uncounted_operations"):
        log.warning(f"{network.subject}: its MACs lack those of {uncounted}, which nobody knows how to count")
    return preflight


def _budget_found(network: NetworkSpec, values: dict[str, Any], shape: tuple[int, int, int]) -> list[str]:
    """Why the stage under test does not cost its budget.

    Raises:
        CheckFailed: it costs something else than was said.
    """
    from blockzoo.measure.budgets import check_budget

    budget = Budget.parse(str(network.budget))
    if (cost := values.get(f"stage_{budget.held}")) is not None:
        check_budget(network, cost, (1, *shape))
    return list(filter(None, [budget.why_not(network.budget_ratio)]))


def costs(
    network: NetworkSpec, shape: tuple[int, int, int], *, strict: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The costs on paper that a row holds, for one image of `shape` (C, H, W), and how they were measured where not as usual."""
    profile = profile_block(
        network.subject,
        out_dim=network.out_dim,
        input_shape=(1, *shape),
        strict=strict,
        **network.scaffold,
    )
    columns = profile.columns()
    columns["memory_mb"] = columns["params_total"] * 4 / 2**20
    numbers = {k: v for k, v in columns.items() if isinstance(v, int | float) or v is None}
    uncounted = columns["uncounted_operations"]
    return numbers | ({"uncounted_operations": uncounted} if uncounted else {}), profile.notes


def _deployed(network: NetworkSpec, shape: tuple[int, int, int]) -> None:
    from blockzoo.measure.contenders import deploy
    from blockzoo.models.resolve import build_network

    deploy(build_network(network, seed=0).eval(), (1, *shape))
