"""Where the subject stands: its accuracies beside those that are comparable, with verdicts, ranks and the front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from blockzoo.card.celled import cell_name, operations
from blockzoo.card.desk import Desk
from blockzoo.card.tiled import FIRST, tiled_name
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import each_row
from blockzoo.core.reading import Asked
from blockzoo.core.table import Row
from blockzoo.report.comparable import Comparable
from blockzoo.report.difference import Difference
from blockzoo.report.groups import group_of, is_number, name_of
from blockzoo.report.ranks import Ranked, rankings
from blockzoo.report.site.boards import board_of, titles_of
from blockzoo.report.site.gathered import TOLD
from blockzoo.report.site.pairs import Pairs
from blockzoo.report.site.words import Line
from blockzoo.report.summaries import LOOKED_AT

FRONTS = {"stage_macs": "multiply-adds of the stage", "stage_latency_ms": "time of the stage"}
COLUMNS = tuple(dict.fromkeys((*LOOKED_AT, *TOLD, *FRONTS)))


@dataclass(frozen=True)
class Standing:
    """A block among those that it may be compared with.

    Args:
        name: of the block.
        reference: the one that it is compared with.
        of: the comparable group; None where the block has no training in it.
    """

    name: str
    reference: str
    of: Comparable | None

    @cached_property
    def pairs(self) -> Pairs | None:
        """Of the group."""
        return None if self.of is None or not self.of.table else Pairs(self.of)

    @cached_property
    def board(self) -> dict[str, Any] | None:
        """Its leaderboard, whose reference is the one of the card."""
        if self.of is None or self.pairs is None:
            return None
        board = board_of(self.of, titles_of([self.of])[0], self.pairs, {})
        board["reference"] = (
            board["blocks"].index(self.reference) if self.reference in board["blocks"] else None
        )
        return board

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Of the block, by position; "mean" over all of them."""
        return self.lines_of(self.name)

    def lines_of(self, block: str) -> dict[str, Line]:
        """Of any block of the board."""
        places = self.board["places"] if self.board else []
        lines = (
            [Line(self.board, place, row) for place in places for row in range(len(place["block"]))]
            if self.board
            else []
        )
        return {str(line.place["name"]): line for line in lines if line.block == block}

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """From the reference, by position; after Holm's correction over all pairs of the board."""
        differences = {}
        for place, judged in self.pairs.judged.items() if self.pairs else ():
            for one in judged:
                if {one.block, one.other} == {self.name, self.reference}:
                    own = one if one.block == self.name else one.the_other_way()
                    differences["mean" if self.pairs and self.pairs.is_mean(place) else place] = own
        return differences

    @cached_property
    def ranked(self) -> dict[str, dict[str, Ranked]]:
        """By what the front is of, and by position."""
        by_cost: dict[str, dict[str, Ranked]] = {}
        if self.of is None:
            return by_cost
        for cost in FRONTS:
            try:
                all_of_it = rankings(self.of.rows, column=self.of.column, cost=cost)
            except UsageError:  # nothing to compare with
                continue
            by_cost[cost] = {
                one.position: one for of in all_of_it for one in of.ranked if one.block == self.name
            }
        return by_cost

    def costs(self, cost: str) -> dict[tuple[str, str], float]:
        """Of each block at each position."""
        rows = self.of.rows if self.of else []
        return {
            (name_of(r), str(r.get("position") or "")): float(v) for r in rows if is_number(v := r.get(cost))
        }

    def cheapest(self, cost: str) -> list[str]:
        """The positions at which nothing else costs as little."""
        costs = self.costs(cost)
        own = {place: value for (block, place), value in costs.items() if block == self.name}
        others = [(place, value) for (block, place), value in costs.items() if block != self.name]
        return [place for place, value in own.items() if all(v > value for p, v in others if p == place)]

    def figures(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "reference": self.reference,
            "table": self.board["title"] if self.board else None,
            "blocks": len(self.board["blocks"]) if self.board else 0,
            "positions": {place: self._position(place) for place in self.lines},
        }

    def _position(self, place: str) -> dict[str, Any]:
        line, difference = self.lines[place], self.differences.get(place)
        row: dict[str, Any] = {
            "accuracy_percent": line.mean, "interval_percent": line.interval, "n": line.n, "rank": line.place["rank"][line.row],
            "of": len(line.place["compared"]) or len(line.place["block"]),
        }  # fmt: skip
        if difference is not None:
            interval = difference.interval
            row["difference_points"] = 100 * difference.value
            row["difference_interval_points"] = None if interval is None else [100 * end for end in interval]
            row["verdict"], row["pairs_of_seeds"] = difference.verdict, difference.n
        for cost, ranked in self.ranked.items():
            if (one := ranked.get(place)) is not None and one.front is not None:
                row[f"on_front_of_{cost}"] = one.front
        return row


@dataclass(frozen=True)
class Standings:
    """All comparisons of a card.

    Args:
        block: the subject in the scaffold.
        tiled: on tiles, less the subject itself.
        cell: as a cell, less the space's own convolutions.
    """

    block: Standing
    tiled: Standing
    cell: Standing

    @classmethod
    def of(cls, desk: Desk) -> Standings:
        """By what the store has now, and what stands beside it."""
        rows = {
            str(row["fingerprint"]): row
            for row in [*desk.elsewhere, *each_row(desk.outputs.database, Asked(columns=COLUMNS))]
        }
        name, on_tiles = desk.asked.name, tiled_name(desk)
        group = _group(
            rows,
            (
                desk.trial(name, p, s).fingerprint()
                for p in POSITIONS
                for s in range(desk.asked.carding.most_seeds)
            ),
        )
        main = [r for r in rows.values() if r.get("position") and _plain(r, name)]
        tiles = [r for r in rows.values() if r.get("position") == FIRST and name_of(r) in (name, on_tiles)]
        cell, conv = cell_name(name), operations()["conv"]
        cells = [r for r in rows.values() if name_of(r) in (cell, conv)]
        of_cell = _group(
            rows, (desk.trial(cell, None, s).fingerprint() for s in range(desk.asked.carding.most_seeds))
        )
        return cls(
            Standing(name, desk.asked.reference, _within(main, group)),
            Standing(on_tiles, name, _within(tiles, group)),
            Standing(cell, conv, _within(cells, of_cell)),
        )


def _plain(row: Row, name: str) -> bool:
    """Whether a row is of a block among equal fillers, and of no other form of the subject."""
    block = str(row["block"])
    return block == name or block.partition(":")[0] not in ("tiled", "celled", "macro", "stages")


def _group(rows: Mapping[str, Row], fingerprints: Iterable[str]) -> tuple[tuple[str, Any], ...] | None:
    """That the first of these trainings is in."""
    return next((group_of(rows[one]) for one in fingerprints if one in rows), None)


def _within(rows: Sequence[Row], group: tuple[tuple[str, Any], ...] | None) -> Comparable | None:
    own = [row for row in rows if group_of(row) == group]
    return Comparable(group, own) if group is not None and own else None


def beside(source: Path | None) -> list[Row]:
    """Rows of other results.

    Raises:
        UsageError, StoreError: they cannot be read.
    """
    return [] if source is None else list(each_row(source, Asked(columns=COLUMNS)))
