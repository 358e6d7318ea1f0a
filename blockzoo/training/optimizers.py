"""The optimiser and the schedule of a protocol."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from blockzoo.training.muon import Muon, hidden_weights
from blockzoo.training.protocols import Protocol


def optimizer_of(network: nn.Module, protocol: Protocol, lr: float) -> torch.optim.Optimizer:
    """What trains the network.

    Args:
        network: whose parameters it takes.
        protocol: its optimiser, momentum, weight decay and `muon_lr` are read.
        lr: the peak of all parameters but those of Muon.

    Raises:
        UsageError: Muon is wanted for a network that has no hidden layers.
    """
    if protocol.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=lr)
    nesterov = protocol.nesterov and protocol.momentum > 0
    if protocol.muon_lr is None:
        groups = _groups(network, protocol, {})
        return torch.optim.SGD(groups, lr=lr, momentum=protocol.momentum, nesterov=nesterov)
    hidden = hidden_weights(network)
    of_muon = {
        "params": list(hidden),
        "matrices": list(hidden.values()),
        "lr": protocol.muon_lr,
        "weight_decay": protocol.weight_decay,
        "momentum": 0.0,
        "momentum_of_matrices": protocol.momentum,
        "nesterov": False,
    }
    groups = [*_groups(network, protocol, hidden), of_muon]
    return Muon(groups, lr, momentum=protocol.momentum, nesterov=nesterov)


def schedule_of(
    optimizer: torch.optim.Optimizer, protocol: Protocol, steps: int
) -> tuple[LRScheduler, dict[str, Any]]:
    """How the learning rates fall, and what Lightning is told of when they do.

    Args:
        optimizer: whose groups have their peak learning rates.
        protocol: its schedule is read.
        steps: of the whole training.
    """
    if protocol.schedule == "plateau":
        plateau = ReduceLROnPlateau(
            optimizer, factor=protocol.plateau_factor, patience=protocol.plateau_patience
        )
        return plateau, {"monitor": "val_loss"}
    if protocol.schedule == "step":
        return MultiStepLR(optimizer, list(protocol.milestones), protocol.step_factor), {"interval": "epoch"}
    steps = max(3, steps)
    if protocol.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps), {"interval": "step"}
    cycle = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=max(protocol.warmup_share, 2 / steps),  # a warm-up of one step has no slope
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    return cycle, {"interval": "step"}


def _groups(network: nn.Module, protocol: Protocol, without: dict[nn.Parameter, int]) -> list[dict[str, Any]]:
    parameters = [p for p in network.parameters() if p.requires_grad and p not in without]
    if protocol.decay_all:
        return [{"params": parameters, "weight_decay": protocol.weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": protocol.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
