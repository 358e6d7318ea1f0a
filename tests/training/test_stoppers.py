"""Stoppers by hand, alone and combined."""

from __future__ import annotations

import pytest

from blockzoo.core.contracts import STOPPERS
from blockzoo.core.errors import RequestError
from blockzoo.training.stoppers import make_stopper


def _told(text: str, values: list[float], name: str = "loss") -> int | None:
    stopper = make_stopper(text)
    return next((n for n, v in enumerate(values) if stopper.reason_to_stop({name: v})), None)


def test_stoppers_by_hand() -> None:
    assert _told("never", [0.0] * 9) is None
    assert _told("loss:0.5", [0.9, 0.6, 0.5]) == 2
    assert _told("accuracy:0.9", [0.1, 0.95, 0.2], "accuracy") == 1
    assert _told("patience:2", [3, 2, 2.5, 2, 1]) == 3
    assert _told("patience-accuracy:2", [0.1, 0.2, 0.2, 0.2], "accuracy") == 3
    assert _told("loss:0.5|patience:2", [3, 4, 5, 0.1]) == 2
    assert _told("loss:2&patience:2", [1, 3, 3, 3]) == 2
    for wrong in ("accuracy", "patience:0", "patience:x", "magic:1", "never:1"):
        with pytest.raises(RequestError):
            make_stopper(wrong)
    with pytest.raises(RequestError, match=r"accuracy.*only loss"):
        make_stopper("accuracy:1").reason_to_stop({"loss": 1.0})
    assert set(STOPPERS) >= {"never", "loss", "accuracy", "patience"}


def test_an_argument_that_ones_own_stopper_cannot_use_is_a_bad_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AfterReports:
        """Ends after so many reports."""

        def __init__(self, argument: str) -> None:
            self.left = int(argument)

    monkeypatch.setitem(STOPPERS, "after", AfterReports)
    assert make_stopper(" after:3 ").left == 3  # type: ignore[attr-defined]
    with pytest.raises(RequestError, match=r"'after:soon'.*Ends after so many reports"):
        make_stopper("never|after:soon")
