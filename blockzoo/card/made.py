"""A finished card, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blockzoo.card.answer import Evidence
from blockzoo.card.desk import Asked
from blockzoo.card.schedule import Outcome, in_words, left_out
from blockzoo.card.standing import Standings

SCHEMA = 1


@dataclass(frozen=True)
class Card:
    """One subject through all lenses.

    Args:
        asked: the request.
        answer: in sentences, the answer first.
        outcomes: of all parts.
        standings: its accuracies beside those of others.
        evidence: what the answer rests on.
        provenance: command, versions, hardware, protocol, data.
        seconds: that the command took, and those it was given.
        database: the store of its records.
        files: where it was written.
    """

    asked: Asked
    answer: list[str]
    outcomes: list[Outcome]
    standings: Standings
    evidence: Evidence
    provenance: dict[str, str]
    seconds: tuple[float, float]
    database: Path
    files: tuple[Path, ...] = ()

    def of(self, part: str) -> list[Outcome]:
        """The outcomes of a part."""
        return [one for one in self.outcomes if one.part == part]

    def done(self, part: str) -> Outcome | None:
        """The one outcome of a part that is there."""
        return next((one for one in self.of(part) if one.status == "done"), None)

    @property
    def missing(self) -> list[Outcome]:
        """What is not there."""
        return [one for one in self.outcomes if one.status != "done"]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """What is not there and why, parts of one kind together."""
        return left_out(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "schema": SCHEMA,
            "subject": self.asked.name,
            "reference": self.asked.reference,
            "answer": self.answer,
            "seconds": self.seconds[0],
            "budget_seconds": self.seconds[1],
            "settings": {
                name: asdict(getattr(self.asked, name)) for name in ("carding", "scaffold", "recipe", "data")
            },
            "accuracy": self.standings.block.figures(),
            "tiled_accuracy": self.standings.tiled.figures(),
            "cell_accuracy": self.standings.cell.figures(),
            "parts": [self._part(one) for one in self.outcomes],
            "provenance": self.provenance,
        }

    def _part(self, outcome: Outcome) -> dict[str, Any]:
        """Where no other command makes its figures, that of the card does."""
        values = outcome.to_json()
        values["made"]["command"] = values["made"]["command"] or self.provenance.get("command", "")
        return values

    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each part, for tables and programs."""
        return [
            {
                "subject": self.asked.name, "part": one.title, "status": one.status,
                "n": ", ".join(f"{count} {what}" for what, count in one.made.n.items()),
                "estimated_s": one.estimated_s, "took_s": one.took_s, "says": " ".join(one.made.says) or one.why,
            }
            for one in self.outcomes
        ]  # fmt: skip

    @property
    def told(self) -> str:
        """How long it took."""
        return f"{in_words(self.seconds[0])} of {in_words(self.seconds[1])}"
