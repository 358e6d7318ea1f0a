"""The three published kinds of table, with intervals paired over seeds, from the lines of a study. No torch, no drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blockzoo.core.typeset import TextTable, as_markdown, name, number
from blockzoo.report.estimates import Estimate, estimate
from blockzoo.tiling.experiments import published

Line = dict[str, Any]
PERCENT = (0.0, 100.0)
"""What an accuracy can be, here."""
BASE, MORE, SCRATCH, TUNED = "baseline", "baseline, more epochs", "scratch", "fine-tuned"


@dataclass(frozen=True)
class Cell:
    """One figure of a table, in percent.

    Args:
        accuracy: over seeds; None where no run of it is done.
        difference: to the baseline with the same number of epochs, seed by seed.
        reported: somebody else's figure, in place of the two.
    """

    accuracy: Estimate | None = None
    difference: Estimate | None = None
    reported: float | None = None

    def __str__(self) -> str:
        if self.reported is not None:
            return f"{self.reported:.2f}"
        if self.accuracy is None:
            return "-"
        text = _interval(self.accuracy, "")
        return f"{text} ({_interval(self.difference, '+')})" if self.difference else text


@dataclass(frozen=True)
class Comparison:
    """One table: a title, what the columns are, and rows of cells."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]
    caption: str

    def typeset(self) -> TextTable:
        """For the terminal, Markdown or LaTeX."""
        columns = (name("network"), *(number(column) for column in self.columns))
        return TextTable(
            self.title, columns, [(network, *map(str, cells)) for network, cells in self.rows], self.caption
        )

    def markdown(self) -> str:
        """The table in Markdown."""
        return as_markdown(self.typeset())


CAPTION = (
    "Test accuracy in percent, mean ± half of the 95 % interval over n = {n} seed{s}; in brackets the difference to the baseline "
    "with the same extra epochs, paired over seeds. reported: ImageNet, " + published.SOURCE
)


def comparisons(lines: Sequence[Line], reference: str) -> list[Comparison]:
    """The tables of a study: ways of training, blockings, paddings.

    Args:
        lines: see `run_tiling_study`.
        reference: tag of the blocking at which ways and paddings are compared.
    """
    archs = list(dict.fromkeys(line["arch"] for line in lines))
    seeds = len({line["seed"] for line in lines})
    caption = CAPTION.format(n=seeds, s="" if seeds == 1 else "s")
    ways = (BASE, MORE, SCRATCH, TUNED)
    paddings = list(dict.fromkeys(p for p in ("zeros", "replicate", "reflect") if _has(lines, p)))
    ours = {line["blocking"] for line in lines if line["way"] == TUNED}
    blockings = _order({*ours, *published.BLOCKINGS["resnet18"]})
    return [
        Comparison(
            f"Ways of training, {reference}, zero padding",
            ways,
            [
                (arch, [_cell(lines, arch, w, reference if w in (SCRATCH, TUNED) else None) for w in ways])
                for arch in archs
            ]
            + _reported(archs, published.WAYS, ways),
            caption + ", F28, where fine-tuned networks had more epochs than the baseline.",
        ),
        Comparison(
            "Blockings, fine-tuned, zero padding",
            tuple(blockings),
            [(arch, [_cell(lines, arch, TUNED, tag) for tag in blockings]) for arch in archs]
            + _reported(archs, published.BLOCKINGS, blockings),
            caption + ".",
        ),
        Comparison(
            f"Paddings, fine-tuned, {reference}",
            tuple(paddings),
            [(arch, [_cell(lines, arch, TUNED, reference, p) for p in paddings]) for arch in archs]
            + _reported(archs, published.PADDINGS, paddings),
            caption + ", F28.",
        ),
    ]


def _cell(lines: Sequence[Line], arch: str, way: str, tag: str | None, padding: str = "zeros") -> Cell:
    """A way of training, cut in one way; the baselines have no tag."""
    own = _by_seed(
        line
        for line in lines
        if line["arch"] == arch
        and line["way"] == way
        and (tag is None or (line["blocking"], line["padding"]) == (tag, padding))
    )
    if not own:
        return Cell()
    if way in (BASE, MORE):
        return Cell(estimate(list(own.values()), PERCENT))
    other = _by_seed(line for line in lines if line["arch"] == arch and line["way"] == MORE)
    pairs = [own[seed] - other[seed] for seed in own if seed in other]
    difference = estimate(pairs, (-PERCENT[1], PERCENT[1])) if pairs else None
    return Cell(estimate(list(own.values()), PERCENT), difference)


def _by_seed(lines: Any) -> dict[int, float]:
    """Test accuracy in percent of the runs that went well."""
    return {
        line["seed"]: 100 * line["test_acc"]
        for line in lines
        if line["status"] == "ok" and isinstance(line["test_acc"], float) and math.isfinite(line["test_acc"])
    }


def _reported(
    archs: Sequence[str], table: dict[str, dict[str, float]], columns: Sequence[str]
) -> list[tuple[str, list[Cell]]]:
    """The published rows of our networks; of all networks where none of ours was published."""
    names = [arch for arch in archs if arch in table] or list(table)
    return [(f"{name} (reported)", [Cell(reported=table[name].get(c)) for c in columns]) for name in names]


def _has(lines: Sequence[Line], padding: str) -> bool:
    return any(line["way"] == TUNED and line["padding"] == padding for line in lines)


def _order(tags: set[str]) -> list[str]:
    """Tile counts from few to many, then tile sizes from large to small, so finer to the right in both."""

    def key(tag: str) -> tuple[bool, int]:
        number = int(tag[1:].partition("x")[0])
        return (False, number) if tag[0] == "H" else (True, -number)

    return sorted(tags, key=key)


def _interval(estimated: Estimate | None, sign: str) -> str:
    return "-" if estimated is None else estimated.text(2, sign=sign)
