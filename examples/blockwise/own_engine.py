"""An engine of one's own: neighbouring blocks in pairs, one pair a round, trained together on the centre network.

blockzoo blockwise --plugin examples/blockwise/own_engine.py --training-mode pairs --dataset digits --step-size 0.1
"""

from __future__ import annotations

import time

from blockzoo.blockwise.engines.rounds import WorkerOutcome, bytes_to_all, distance, recorded, solve
from blockzoo.blockwise.local import only_trainable
from blockzoo.blockwise.run.frame import RoundRecord
from blockzoo.contracts import ENGINES, Centre


@ENGINES.register("pairs")
class Pairs:
    """Round r trains blocks r and r + 1 (counted around), one step of each in turn. Its gradients are counted in `solve`."""

    def run(self, frame: Centre) -> RoundRecord:
        """K steps of either block, alternating."""
        begin, count = time.perf_counter(), len(frame.blocks)
        chosen = sorted({frame.round % count, (frame.round + 1) % count})
        before = {i: [p.detach().clone() for p in frame.blocks[i].parameters] for i in chosen}
        frame.model.train()
        results = {}
        for _ in range(frame.blocks[chosen[0]].steps):
            for i in chosen:
                state = frame.blocks[i]
                with only_trainable(frame.model, state.parameters):
                    results[i] = solve(frame, state, [next(state.stream)])
        outcomes = [
            WorkerOutcome(i, [], {}, results[i], distance(frame.blocks[i].parameters, before[i]), 0.0)
            for i in chosen
        ]
        seconds = {"local": time.perf_counter() - begin, "communication": 0.0}
        return recorded(frame, outcomes, bytes_to_all(frame, chosen), seconds, sequential=True)
