"""The door of training: what ends a run before its last epoch or round. No torch."""

from __future__ import annotations

from typing import Protocol

from blockzoo.core.registry import TextRegistry


class Stopper(Protocol):
    """When a run ends before its last round; made from the text behind its name (`accuracy:0.9`).

    A ValueError of its constructor is answered with the first sentence of its docstring.
    """

    def reason_to_stop(self, values: dict[str, float]) -> str | None:
        """Told the validation values of each report in turn; why the run should end, if it should."""
        ...


STOPPERS: TextRegistry[Stopper] = TextRegistry("STOPPERS", "stopper", methods=("reason_to_stop",))
