"""Simulated communication: how long rounds would take between machines, on a clock of its own. Nothing sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from blockzoo.blockwise.run.options import Network
from blockzoo.core.seeds import mixed


@dataclass
class SimulatedClock:
    """Seconds that rounds would have taken, had every worker been a machine of its own.

    A synchronous round takes as long as its slowest worker, plus the delay and the transfer of all blocks to all; blocks one
    after the other (gauss-seidel) add up, each with its message.
    """

    network: Network
    now_s: float = 0.0
    history: list[float] = field(default_factory=list)

    def round(
        self, number: int, steps: list[int], bytes_: int, *, one_after_the_other: bool = False
    ) -> float:
        """Advance by one round.

        Args:
            number: of the round, which draws the stragglers.
            steps: local steps of each active worker.
            bytes_: that travel in all.
            one_after_the_other: workers wait for each other: their times and messages add up, and there is one link.
        """
        factors = self._factors(number, len(steps))
        slowed = [count * self.network.step_s * factor for count, factor in zip(steps, factors, strict=True)]
        messages = len(steps) if one_after_the_other else 1
        computing = sum(slowed) if one_after_the_other else max(slowed, default=0.0)
        links = 1 if one_after_the_other else max(1, len(steps))
        transfer = bytes_ / links / self.network.bandwidth_bytes_per_s
        took = computing + messages * self.network.delay_s + transfer
        self.now_s += took
        self.history.append(took)
        return took

    def _factors(self, number: int, workers: int) -> list[float]:
        slow = round(self.network.straggler_share * workers)
        generator = torch.Generator().manual_seed(mixed(self.network.seed, number, 4))
        chosen = set(torch.randperm(workers, generator=generator)[:slow].tolist())
        return [self.network.straggler_factor if i in chosen else 1.0 for i in range(workers)]
