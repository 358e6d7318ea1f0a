"""Entire: the baseline. K steps on all parameters at once are one round."""

from __future__ import annotations

import time

import torch

from blockzoo.blockwise.contracts import ENGINES, Centre
from blockzoo.blockwise.engines.rounds import distance, mean_loss, solve
from blockzoo.blockwise.run.frame import BlockState, RoundRecord
from blockzoo.core.seeds import mixed


@ENGINES.register("entire")
class Entire:
    """Ordinary training of the whole network; nothing is communicated."""

    def run(self, frame: Centre) -> RoundRecord:
        """K steps."""
        state, begin = frame.whole, time.perf_counter()
        before = [[p.detach().clone() for p in block.parameters] for block in frame.blocks]
        frame.model.train()
        torch.manual_seed(mixed(frame.options.seed, frame.round, 0))
        batches = [next(state.stream) for _ in range(state.steps)]
        result = solve(frame, state, batches)
        moved = [distance(b.parameters, old) for b, old in zip(frame.blocks, before, strict=True)]
        return RoundRecord(
            number=frame.round,
            train_loss=mean_loss([result]),
            movement=list(moved),
            staleness=[0] * len(frame.blocks),
            gradient_norm=[result.gradient_norm] * len(frame.blocks),
            steps=[result.steps],
            bytes_communicated=0,
            seconds={"local": time.perf_counter() - begin, "communication": 0.0},
            spent=frame.spent(),
        )

    def clients(self, frame: Centre) -> list[BlockState]:
        """One machine, which trains everything."""
        return [frame.whole]
