"""What tiles cost in time: a plan as this package runs it, against the same network layer by layer, call by call in turns."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from blockzoo.core.times import doubts, paired_ratio
from blockzoo.measure.interleaving import Clock, Schedule, interleave
from blockzoo.tiling.graph.trace import planned_inputs, ready
from blockzoo.tiling.planning.plan import Plan
from blockzoo.tiling.runtime.runner import TiledRunner


@dataclass(frozen=True)
class PlanTimes:
    """Times of both, round by round.

    Args:
        tiled_ms: (rounds,) milliseconds of the plan.
        whole_ms: (rounds,) milliseconds of the network, layer by layer, with the same norms folded.
    """

    tiled_ms: list[float]
    whole_ms: list[float]

    @property
    def ratio(self) -> tuple[float, tuple[float, float] | None]:
        """How many times as long the plan takes, by round, and its interval: None below six rounds."""
        return paired_ratio(self.tiled_ms, self.whole_ms)

    @property
    def doubts(self) -> list[str]:
        """Why these times are not sure."""
        return list(dict.fromkeys([*doubts(self.tiled_ms), *doubts(self.whole_ms)]))

    def __str__(self) -> str:
        value, interval = self.ratio
        sure = f"{interval[0]:.2f} to {interval[1]:.2f}, " if interval else ""
        doubtful = f", doubtful: {'; '.join(self.doubts)}" if self.doubts else ""
        return f"{median(self.tiled_ms):.3g} ms, {value:.2f} times as long ({sure}n = {len(self.tiled_ms)}{doubtful})"


def time_plan(model: nn.Module, plan: Plan, *, seconds: float = 5.0, seed: int = 0) -> PlanTimes:
    """Run a plan and its network in shuffled rounds, on images drawn from the seed.

    Args:
        model: the network the plan was made for.
        plan: of it, in a dtype that PyTorch runs.
        seconds: for all rounds; one is always made.
        seed: of the images and of the order in each round.

    Raises:
        UsageError: the plan does not fit the network.
        CheckFailed: what the plan computes is not what the network does.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [
        torch.randn(zeros.shape, generator=generator).to(zeros) if zeros.is_floating_point() else zeros
        for zeros in planned_inputs(model, plan)
    ]
    runner, whole = TiledRunner(model, plan), ready(model, inputs, plan.fold).eval()
    contenders = {"tiled": lambda: runner(*inputs), "whole": lambda: whole(*inputs)}
    with torch.inference_mode():
        for call in contenders.values():
            call()  # the first one of a runner fits its operations to these inputs
        samples = interleave(contenders, Clock(inputs[0].device), Schedule(seconds=seconds), seed=seed)
    return PlanTimes(samples["tiled"], samples["whole"])
