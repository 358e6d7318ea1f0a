"""Jacobi: all blocks start from the same centre, take their local steps, and are put together."""

from __future__ import annotations

import time

from blockzoo.blockwise.engines.rounds import active_blocks, block_bytes, commit, recorded, work
from blockzoo.blockwise.engines.stacked import work_stacked
from blockzoo.blockwise.frame import Frame, RoundRecord
from blockzoo.core.contracts import ENGINES


@ENGINES.register("jacobi", aliases=("blockwise_sequential", "blockwise-sequential"))
class Jacobi:
    """One worker per block, one after the other in this process; each sees the others' blocks as the round began.

    Communication is counted as if every worker were a machine of its own: it sends its block, and receives all others.
    """

    def run(self, frame: Frame) -> RoundRecord:
        """One round."""
        chosen = active_blocks(frame)
        if frame.options.vectorised:
            outcomes = work_stacked(frame, chosen)
        else:
            outcomes = [work(frame, block) for block in chosen]
        begin = time.perf_counter()
        commit(frame, outcomes)
        sent = sum(block_bytes(frame.blocks[block]) for block in chosen) * max(1, len(frame.blocks) - 1)
        local = sum(outcome.seconds for outcome in outcomes)
        return recorded(frame, outcomes, sent, {"local": local, "communication": time.perf_counter() - begin})
