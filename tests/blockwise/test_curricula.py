"""Which examples curricula choose, and that streams draw by their weights."""

from __future__ import annotations

import pytest
import torch

from blockzoo.blockwise.contracts import CURRICULA
from blockzoo.blockwise.curricula import make_curriculum
from blockzoo.blockwise.run.data import Examples, Stream
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.errors import UsageError
from tests.blockwise.runs import config


def test_curricula_choose_and_weigh() -> None:
    frame = Frame.from_config(config())
    every = len(frame.train)
    growing = make_curriculum("growing:0.25")
    counts = [int(growing.weights(r, RunView(frame)).sum()) for r in range(4)]
    assert counts == [32, 80, 128, 128] and every == 128
    chosen = make_curriculum("classes:3,5").weights(0, RunView(frame))
    stream = Stream(frame.train, 8, 0, 0)
    stream.weigh(chosen, 0)
    assert {int(label) for _ in range(6) for label in next(stream)[1]} == {3, 5}
    hard = make_curriculum("hard").weights(0, RunView(frame))
    assert len(hard) == every and (hard > 0).all()
    for wrong in ("growing:0", "classes:x", "nonsense"):
        with pytest.raises(UsageError):
            make_curriculum(wrong)
    with pytest.raises(UsageError, match="no training example"):
        make_curriculum("classes:77").weights(0, RunView(frame))
    ours = {name for name in CURRICULA if CURRICULA.origin(name).startswith("blockzoo.")}
    assert ours == {"all", "growing", "classes", "hard"}


def test_a_stream_draws_by_weight_without_repetition() -> None:
    examples = Examples(torch.arange(40.0)[:, None], torch.arange(40))
    weights = torch.ones(40)
    weights[:4], weights[20:] = 50.0, 0.0
    first = torch.zeros(40)
    for round in range(200):
        stream = Stream(examples, 4, 0, 1)
        stream.weigh(weights, round)
        drawn = torch.cat([next(stream)[1] for _ in range(5)])
        assert sorted(drawn.tolist()) == list(range(20)), "a pass goes through all that has weight, once"
        first[drawn[:4]] += 1
    assert first[:4].sum() > 0.8 * first.sum()
