"""From a configuration to examples and to a network."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.data import Examples
from blockzoo.blockwise.run.losses import Criterion
from blockzoo.blockwise.run.regressions import REGRESSIONS, load_regression
from blockzoo.core.contracts import NETWORKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.data.subsets import drawn
from blockzoo.models.feedforward import SIZED, sized_network
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import seeded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Examples to train on and held-out ones, and how many outputs a network for them has."""

    name: str
    train: Examples
    validation: Examples
    outputs: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.train.x.shape[1:])

    @property
    def criterion(self) -> Criterion:
        """Cross-entropy for classes, the mean squared error for numbers."""
        if self.train.y.is_floating_point():
            return nn.functional.mse_loss
        return nn.functional.cross_entropy


def load_problem(config: RunConfig) -> Problem:
    """The examples a configuration names, on its device.

    Raises:
        DataError: they are not there, or not what they should be.
    """
    if config.dataset in REGRESSIONS:
        (x, y), validation = load_regression(config.dataset, config.data_dir)
        rows = drawn(y, min(config.limit_train, len(y))) if config.limit_train else slice(None)
        train = x[rows], y[rows]
        outputs, name = 1, config.dataset
    else:
        from blockzoo.data import load_or_fallback

        data, note = load_or_fallback(config.dataset, config.data_dir, image_size=config.image_size)
        if note:
            log.warning(note)
        if config.data_digest and (faults := data.faults_of(config.data_digest)):
            raise UsageError("; ".join(faults))
        data = data.limited(config.limit_train)
        train = data.seen(data.train.images), data.train.labels
        validation = data.seen(data.val.images), data.val.labels
        outputs, name = data.num_classes, data.name
    return Problem(
        name,
        Examples(*map(torch.from_numpy, train)).to(config.device),
        Examples(*map(torch.from_numpy, validation)).to(config.device),
        outputs,
    )


def build_model(config: RunConfig, problem: Problem) -> nn.Module:
    """The network a configuration names, its weights drawn from the run's seed.

    Raises:
        UsageError: as `build_network`; or widths for a network that has its own.
    """
    seed = config.options.seed
    name = config.model.removeprefix("model:")
    if name in SIZED:
        with seeded(seed, "network"):
            model = sized_network(
                name, problem.shape, problem.outputs, config.config, cast(Any, config.combine), seed
            )
        return model.to(config.device)
    if config.config:
        raise UsageError(
            f"config {list(config.config)}: {config.model} has widths of its own; these are for {', '.join(SIZED)}"
        )
    subject = f"model:{name}" if name in NETWORKS else config.model
    spec = NetworkSpec(subject, out_dim=problem.outputs, in_channels=problem.shape[0])
    return build_network(spec, seed=seed).to(config.device)
