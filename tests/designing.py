"""Designs in worlds that are made up: what a training comes to is a function of its network, seed and learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.trials.designs import Round, Rounds

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 1,
    "limit_train": 64,
    "base_channels": 8,
    "num_blocks": 1,
    "latency": False,
    "workers": 1,
}
"""Of a sweep that takes a second."""


def networks(blocks: list[str], *positions: str) -> list[NetworkSpec]:
    return [NetworkSpec(f"{block}/{position}") for position in positions or ("mid",) for block in blocks]


def row(network: NetworkSpec, seed: int, accuracy: float, name: str) -> dict[str, Any]:
    subject = network.parsed
    return {
        "block": subject.label, "position": subject.position, "seed": seed, "status": "ok", "test_acc": accuracy,
        "val_acc": accuracy, "comparable": "x", "num_blocks": 3, "active_blocks": 3, "active_width": 1.0,
        "budget": network.budget, "budget_ratio": None, "experiment_name": name,
        "fingerprint": TrialSpec(network, seed=seed).fingerprint(),
    }  # fmt: skip


def carried_out(rounds: Rounds, accuracy: Callable[..., float]) -> tuple[list[Round], list[dict[str, Any]]]:
    """All rounds of a design where a training comes to `accuracy`: of its network and seed, and its rate where it has one."""
    made, rows = [next(rounds)], []
    while True:
        for t in made[-1].trainings:
            own = () if t.lr is None else (t.lr,)
            rate = {"lr": t.lr, "lr_among": t.lr_among} if own else {}
            value = accuracy(t.network, t.seed, *own)
            went = {} if value == value else {"status": "diverged", "val_acc": None, "test_acc": None}
            rows.append(row(t.network, t.seed, value, made[-1].name) | rate | went)
        try:
            made.append(rounds.send(list(rows)))
        except StopIteration:
            return made, rows
