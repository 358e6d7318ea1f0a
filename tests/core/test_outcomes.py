"""What a record keeps of single images: read back, bounded, and compared with the accuracy that it goes with."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from blockzoo.core.errors import CheckFailed, Damaged
from blockzoo.core.outcomes import Outcomes, check_outcomes


def drawn(count: int = 1003) -> Outcomes:
    draw = np.random.default_rng(0)
    return Outcomes(draw.random(count) < 0.7, np.exp(draw.normal(0, 1.2, count)))


def test_read_back() -> None:
    made = drawn()
    texts = made.to_texts()
    read = Outcomes.of(texts)
    assert (read.hits == made.hits).all()
    within = np.clip(made.losses, 1e-4, 100)
    assert np.abs(read.losses / within - 1).max() < 0.028
    assert sum(map(len, texts.values())) < 1.6 * 1003


def test_the_mean_loss_is_nearly_kept() -> None:
    assert Outcomes.of(drawn().to_texts()).losses.mean() == pytest.approx(drawn().losses.mean(), rel=3e-3)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"hits": "", "losses": ""},
        {"hits": "AA==", "losses": "AA"},
        {"hits": "AA==", "losses": base64.b64encode(bytes(9)).decode()},
        {"hits": "é", "losses": "AA=="},
    ],
)
def test_what_is_none(texts: dict[str, str]) -> None:
    with pytest.raises(Damaged):
        Outcomes.of(texts)


@pytest.mark.mutation("outcomes")
def test_outcomes_of_another_split_are_refused() -> None:
    made = drawn()
    accuracy, loss = float(made.hits.sum()) / 1003, float(made.losses.mean())
    assert check_outcomes(made.to_texts(), accuracy, loss) < 0.003
    one_less = Outcomes(made.hits & (np.arange(1003) != np.flatnonzero(made.hits)[0]), made.losses)
    twice = Outcomes(np.append(made.hits, made.hits[-1]), np.append(made.losses, 1.0))
    others = Outcomes(made.hits, made.losses * 1.04)
    smaller = Outcomes(made.hits, made.losses * 0.96)
    for wrong in (one_less, twice, others, smaller):
        with pytest.raises(CheckFailed, match="check 'outcomes' failed"):
            check_outcomes(wrong.to_texts(), accuracy, loss)


def test_losses_beyond_what_a_byte_holds() -> None:
    made = Outcomes(np.array([True, False]), np.array([1e-9, 1e6]))
    check_outcomes(made.to_texts(), 0.5, 5e5)
    tiny = Outcomes(np.array([True, True]), np.array([1e-9, 1e-9]))
    check_outcomes(tiny.to_texts(), 1.0, 1e-9)
