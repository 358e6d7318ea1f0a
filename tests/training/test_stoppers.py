"""Stoppers by hand, alone and combined."""

from __future__ import annotations

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.training.contracts import STOPPERS
from blockzoo.training.stoppers import check_fed, make_stopper


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
        with pytest.raises(UsageError):
            make_stopper(wrong)
    assert _told("patience:2", [float("nan"), 3, float("nan"), 2, 2.5]) is None, "a NaN is no best value"
    with pytest.raises(UsageError, match=r"accuracy.*only loss"):
        make_stopper("accuracy:1").reason_to_stop({"loss": 1.0})
    assert set(STOPPERS) >= {"never", "loss", "accuracy", "patience"}


@pytest.mark.parametrize(
    "text",
    "accuracy:90 accuracy:0 accuracy:-0.1 accuracy:nan accuracy:inf loss:nan loss:inf loss:-1 loss: patience:2.5 "
    "patience:nan patience:inf patience:-3 patience:1e3 patience-accuracy:0.5 never|accuracy:90 loss:0.1&loss:nan |".split(),
)
def test_what_can_never_be_met_or_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="stopper"):
        make_stopper(text)


def test_a_stopper_is_tried_on_the_quantities_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class OwnTop5:
        """Asks for what no report has."""

        def __init__(self, argument: str) -> None: ...

        def reason_to_stop(self, values: dict[str, float]) -> str | None:
            return "there" if values["top5"] > 0.9 else None

    monkeypatch.setitem(STOPPERS, "own", OwnTop5)
    for text in ("never", "accuracy:0.9|patience:3", "loss:0.1&patience-accuracy:2"):
        check_fed(text, ("loss", "accuracy"))
    for text in ("accuracy:0.9", "loss:0.1|accuracy:0.9", "loss:0.1&patience-accuracy:2", "own"):
        with pytest.raises(UsageError, match="stopper"):
            check_fed(text, ("loss",))


def test_an_argument_that_ones_own_stopper_cannot_use_is_a_bad_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AfterReports:
        """Ends after so many reports."""

        def __init__(self, argument: str) -> None:
            self.left = int(argument)

    monkeypatch.setitem(STOPPERS, "after", AfterReports)
    assert make_stopper(" after:3 ").left == 3  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"'after:soon'.*Ends after so many reports"):
        make_stopper("never|after:soon")
