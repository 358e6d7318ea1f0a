"""Async: every worker starts from a centre of its own age, and hands in by how much it moved. Staleness is bounded."""

from __future__ import annotations

import time
from collections import deque

import torch

from blockzoo.blockwise.contracts import ENGINES, Centre
from blockzoo.blockwise.engines.rounds import (
    Tensors,
    active_blocks,
    bytes_to_all,
    commit_buffers,
    put,
    recorded,
    work,
)
from blockzoo.blockwise.run.frame import RoundRecord
from blockzoo.core.seeds import mixed


@ENGINES.register("async")
class Asynchronous:
    """Ages are drawn from (seed, round), between 0 and `max_staleness`, and simulated: the run is deterministic.

    centre_i <- centre_i + gamma (worker_i - start_i): a stale worker adds its movement to what others made of the block since.
    """

    def __init__(self) -> None:
        self._past: deque[Tensors] = deque()

    def run(self, frame: Centre) -> RoundRecord:
        """One round."""
        parameters = list(frame.model.parameters())
        now = [p.detach().clone() for p in parameters]
        self._past.append(now)
        while len(self._past) > frame.options.max_staleness + 1:
            self._past.popleft()
        generator = torch.Generator().manual_seed(mixed(frame.options.seed, frame.round, 2))
        outcomes, starts = [], []
        for block in active_blocks(frame):
            age = int(torch.randint(len(self._past), (), generator=generator))
            put(parameters, self._past[len(self._past) - 1 - age])
            starts.append([p.detach().clone() for p in frame.blocks[block].parameters])
            outcome = work(frame, block)
            outcome.staleness = age
            outcomes.append(outcome)
        put(parameters, now)
        begin = time.perf_counter()
        with torch.no_grad():
            for outcome, start in zip(outcomes, starts, strict=True):
                for p, value, old in zip(
                    frame.blocks[outcome.block].parameters, outcome.values, start, strict=True
                ):
                    p.add_(value - old, alpha=frame.options.gamma)
        commit_buffers(frame, outcomes)
        sent = bytes_to_all(frame, [outcome.block for outcome in outcomes])
        local = sum(outcome.seconds for outcome in outcomes)
        return recorded(frame, outcomes, sent, {"local": local, "communication": time.perf_counter() - begin})

    def state_dict(self) -> list[Tensors]:
        """The centres of the last rounds."""
        return list(self._past)

    def load_state_dict(self, saved: list[Tensors]) -> None:
        """Go on with these."""
        self._past = deque(saved)
