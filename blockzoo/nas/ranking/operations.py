"""What each operation is worth at each stage of a benchmark's networks: an additive model of their accuracies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.space.macro import ArchVector

KIN: Mapping[str, str] = {"conv": "ResNetBasicBlock", "mbconv": "EdgeResidual", "bconv": "InvertedResidual"}
"""The block of the zoo that is most like each operation of the published space; none of them is the same. An operation is several
layers: four 3x3 convolutions; twice 3x3 to twice the width with squeeze-and-excitation; six bottlenecks with a depthwise 5x5."""


@dataclass(frozen=True)
class OperationEffects:
    """Of each operation at each stage.

    Args:
        effects: what one more node of it adds to the accuracy, a fraction, by operation and stage (from 0).
        errors: their standard errors.
        degrees: of freedom of the errors.
        networks: whose accuracies they explain.
        explained: share of the variance that they do.
    """

    effects: dict[tuple[str, int], float]
    errors: dict[tuple[str, int], float]
    degrees: int
    networks: int
    explained: float


def operation_effects(dataset: Dataset) -> OperationEffects:
    """By least squares: test accuracy = mean + for each stage the nodes of each operation times its effect.

    Nodes that lead nowhere do not count. Of a network trained from several seeds the mean counts.

    Raises:
        UsageError: too few networks to tell the effects apart.
    """
    space = dataset.space
    samples: list[tuple[float, ArchVector]] = []
    for model_hash, *_ in dataset:  # indices would need the hashes of the whole space
        value, vector = dataset.test_acc(model_hash, seed="mean"), dataset.arch_vec(model_hash)
        if value is not None and math.isfinite(value) and vector is not None:
            samples.append((float(value), vector))
    indices = np.array([space.index(vector) for _, vector in samples], int)
    counts = np.array([np.bincount(graph.ops, minlength=len(space.ops)) for graph in space.cells.graphs])
    nodes = counts[space.digits(indices)].reshape(len(samples), -1)
    values = np.array([value for value, _ in samples]) / 100
    design = np.hstack([np.ones((len(nodes), 1)), nodes])
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    degrees = len(values) - int(rank)
    if int(rank) < design.shape[1] or degrees < 1:
        raise UsageError(
            f"{len(values)} networks do not tell {design.shape[1] - 1} effects apart: give a benchmark with more"
        )
    left = values - design @ solution
    variance = float(left @ left) / degrees
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)
    names = [(op, stage) for stage in range(space.stages) for op in space.ops]
    total = float(((values - values.mean()) ** 2).sum())
    explained = 1 - float(left @ left) / total if total else math.nan
    return OperationEffects(
        dict(zip(names, solution[1:].tolist(), strict=True)),
        dict(zip(names, errors[1:].tolist(), strict=True)),
        degrees,
        len(values),
        explained,
    )
