"""Jacobi: all blocks start from the same centre, take their local steps, and are put together."""

from __future__ import annotations

import time

from blockzoo.blockwise.contracts import ENGINES, Centre
from blockzoo.blockwise.engines.rounds import active_blocks, bytes_to_all, commit, recorded, work
from blockzoo.blockwise.engines.stacked import work_checked, work_stacked
from blockzoo.blockwise.run.frame import RoundRecord


@ENGINES.register("jacobi", aliases=("blockwise_sequential", "blockwise-sequential"))
class Jacobi:
    """One worker per block, one after the other in this process; each sees the others' blocks as the round began.

    Communication is counted as if every worker were a machine of its own: it sends its block, and receives all others.
    """

    def __init__(self) -> None:
        self._checked: Centre | None = None

    def run(self, frame: Centre) -> RoundRecord:
        """One round."""
        chosen = active_blocks(frame)
        if frame.options.vectorised:
            outcomes = (work_stacked if frame is self._checked else work_checked)(frame, chosen)
            self._checked = frame
        else:
            outcomes = [work(frame, block) for block in chosen]
        begin = time.perf_counter()
        commit(frame, outcomes)
        sent = bytes_to_all(frame, chosen)
        local = sum(outcome.seconds for outcome in outcomes)
        return recorded(frame, outcomes, sent, {"local": local, "communication": time.perf_counter() - begin})
