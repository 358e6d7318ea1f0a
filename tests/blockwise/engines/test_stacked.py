"""Stacked workers are compared with the same one by one in the first round of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.engines import stacked
from blockzoo.core.errors import CheckFailed
from tests.blockwise.engines.test_engines import frame, values


def test_the_first_round_is_compared_and_costs_no_gradients() -> None:
    run, plain = frame("jacobi", vectorised=True, optimizer="adam"), frame("jacobi", optimizer="adam")
    engines = ENGINES["jacobi"](), ENGINES["jacobi"]()
    for turn in range(3):
        run.round = plain.round = turn
        records = engines[0].run(run), engines[1].run(plain)
        assert records[0].spent.passes == records[1].spent.passes
        assert [s.stream.position for s in run.blocks] == [s.stream.position for s in plain.blocks]
    assert 0 <= run.checked["stacked-workers"] < 1e-4
    torch.testing.assert_close(values(run.model), values(plain.model), rtol=1e-4, atol=1e-6)


@pytest.mark.mutation("stacked-workers")
@pytest.mark.parametrize(("fault", "k"), [("blocks", 4), ("gradients", 4), ("gradients", 1), ("steps", 4)])
def test_wrong_stacks_are_seen(fault: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that see others' blocks (no fault in their first step), gradients of another worker, one step too many."""
    step, pile = stacked._Worker.step, stacked._stacked

    def wrong_step(worker: Any, gradients: Any, centre: Any) -> None:
        step(worker, [2 * g for g in gradients] if fault == "gradients" else gradients, centre)
        worker.solved |= fault == "steps"

    def wrong_pile(model: Any, centre: Any, workers: Any) -> Any:
        if fault == "blocks":
            workers = [replace(worker, names=list(centre)) for worker in workers]
        return pile(model, centre, workers)

    monkeypatch.setattr(stacked._Worker, "step", wrong_step)
    monkeypatch.setattr(stacked, "_stacked", wrong_pile)
    with pytest.raises(CheckFailed, match=r"stacked-workers.*vectorised"):
        ENGINES["jacobi"]().run(frame("jacobi", vectorised=True, k=k, step_size=0.2))
