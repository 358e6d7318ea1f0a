"""When a run ends before its last round: targets, patience, and combinations of them. No torch.

In text: `accuracy:0.9`, `loss:0.1`, `patience:20` (reports without a lower loss), `patience-accuracy:20`, `never`;
`A|B` ends when one of them would, `A&B` when all would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from blockzoo.core.errors import UsageError
from blockzoo.training.contracts import STOPPERS, Stopper


def make_stopper(text: str) -> Stopper:
    """The stopper a text describes.

    Raises:
        UsageError: no such stopper, or an argument it cannot use.
    """
    for sign, combined in (("|", Any), ("&", All)):
        if sign in text:
            return combined([make_stopper(part) for part in text.split(sign)])
    return STOPPERS.make(text)


def check_fed(text: str, names: Sequence[str]) -> None:
    """A stopper of this text finds what it asks for in reports of these names: a fresh one is told a made-up report.

    Raises:
        UsageError: it does not.
    """
    try:
        make_stopper(text).reason_to_stop(dict.fromkeys(names, 0.5))
    except UsageError as error:
        raise UsageError(f"stopper {text}: {error}") from None
    except Exception as error:
        raise UsageError(
            f"stopper {text} fails on a report of {', '.join(names)}: {type(error).__name__}: {error}"
        ) from error


@STOPPERS.register("never")
class Never:
    """All rounds are run."""

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"stopper never takes no argument, not {argument!r}")

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """None."""
        return None


class Any:
    """Ends as soon as one of several would; all of them hear every value."""

    def __init__(self, stoppers: list[Stopper]) -> None:
        self._stoppers = stoppers

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """The first reason there is."""
        reasons = [stopper.reason_to_stop(values) for stopper in self._stoppers]
        return next((reason for reason in reasons if reason), None)


class All:
    """Ends when each of several has had a reason, at this report or before."""

    def __init__(self, stoppers: list[Stopper]) -> None:
        self._stoppers = stoppers
        self._reasons: list[str | None] = [None] * len(stoppers)

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """All reasons, once there are all."""
        for n, stopper in enumerate(self._stoppers):
            self._reasons[n] = stopper.reason_to_stop(values) or self._reasons[n]
        return " and ".join(filter(None, self._reasons)) if all(self._reasons) else None


class _Target:
    """Ends once a value is as good as wanted."""

    name, sign, example = "loss", -1, "0.1"
    can_be, what_it_is = (0.0, math.inf), "a loss is a number of 0 or more"

    def __init__(self, argument: str) -> None:
        self.target = _number(self.name, argument, self.example)
        low, high = self.can_be
        if not low <= self.target <= high:
            raise UsageError(
                f"stopper {self.name}:{argument}: {self.what_it_is}, as in {self.name}:{self.example}"
            )

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        value = _value(values, self.name)
        if self.sign * value >= self.sign * self.target:
            return f"validation {self.name} {value:.4g} reached {self.target:g}"
        return None


@STOPPERS.register("loss")
class LossTarget(_Target):
    """`loss:0.1`: the validation loss is that low."""


@STOPPERS.register("accuracy")
class AccuracyTarget(_Target):
    """`accuracy:0.9`: the validation accuracy (0..1) is that high."""

    name, sign, example = "accuracy", 1, "0.9"
    can_be, what_it_is = (math.ulp(0.0), 1.0), "an accuracy to reach is above 0 and at most 1"


class _Patience:
    """Ends after so many reports in a row without a better value."""

    kind, name, sign = "patience", "loss", -1

    def __init__(self, argument: str) -> None:
        self.most = int(argument) if argument.strip().isdecimal() else 0
        if self.most < 1:
            raise UsageError(f"stopper {self.kind}:{argument}: give a whole number of reports, 1 or more")
        self._best, self._waited = -float("inf"), 0

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        value = self.sign * _value(values, self.name)
        if value > self._best:  # not so for NaN, which is no better than anything
            self._best, self._waited = value, 0
        else:
            self._waited += 1
        if self._waited < self.most:
            return None
        return f"no better validation {self.name} than {self.sign * self._best:.4g} for {self.most} reports"


@STOPPERS.register("patience")
class LossPatience(_Patience):
    """`patience:20`: that many reports without a lower validation loss."""


@STOPPERS.register("patience-accuracy")
class AccuracyPatience(_Patience):
    """`patience-accuracy:20`: that many reports without a higher validation accuracy."""

    kind, name, sign = "patience-accuracy", "accuracy", 1


def _value(values: dict[str, float], name: str) -> float:
    if name not in values:
        raise UsageError(f"it asks for {name}, but this run has only {', '.join(values)}")
    return values[name]


def _number(name: str, argument: str, example: str) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"stopper {name}:{argument}: give a number, as in {name}:{example}")
    return value
