"""Two blocks compared: a page for each table, with all its pairs over seeds and, where a store has them, over test images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blockzoo.core.outcomes import Outcomes
from blockzoo.core.text import page, plain
from blockzoo.report.additive import Table
from blockzoo.report.comparison import outcomes_of as outcomes_of_cell
from blockzoo.report.difference import ENOUGH_SIGNS, MARGIN
from blockzoo.report.images import Counted, counted
from blockzoo.report.site.pairs import Pairs, alike, thousandths
from blockzoo.report.site.shell import Shell
from blockzoo.report.trainings import Cell

SCRIPTS = ("boards.js", "compare.js")
ByCell = dict[Cell, dict[object, Outcomes]]


def outcomes_of(pairs: Pairs, outcomes: Callable[[str], Outcomes | None]) -> ByCell:
    """What the store has of single test images, by cell and seed, of the trainings that the table counts.

    Args:
        pairs: whose trainings.
        outcomes: by the fingerprint of a trial.
    """
    table = pairs.of.table if pairs.of.column == "test_acc" else Table()
    return {cell: of_cell for cell in table if (of_cell := outcomes_of_cell(table, cell, outcomes))}


def images_of(pairs: Pairs, place: str, by_cell: ByCell) -> dict[str, Any] | None:
    """How many test images one block of each pair gets and the other does not, and the interval over both chances.

    None where the trainings of a position have no outcomes, or it stands for a mean.
    """
    if pairs.is_mean(place):
        return None
    blocks = pairs.cells[place]
    counts: list[Counted | None] = [
        counted(by_cell.get((a, place), {}), by_cell.get((b, place), {}))
        for a, b in (itertools.combinations(blocks, 2) if pairs.alone[place] else ())
    ]
    if not any(counts):
        return None
    halves = []
    for of, difference in zip(counts, pairs.alone[place], strict=True):
        is_complete = of is not None and difference.error is not None and of.seeds >= difference.n
        ends = of.over_both(difference.value, difference.error, difference.degrees) if is_complete else None  # type: ignore[union-attr,arg-type]
        halves.append(None if ends is None else thousandths((ends[1] - ends[0]) / 2))
    return {
        "images": alike([None if of is None else of.images for of in counts]),
        "seeds": alike([None if of is None else of.seeds for of in counts]),
        "first": alike([None if of is None else round(of.only_first, 1) for of in counts]),
        "second": alike([None if of is None else round(of.only_second, 1) for of in counts]),
        "mcnemar": alike(
            [None if of is None else [float(f"{p:.2g}") for p in _ends(of.mcnemar)] for of in counts]
        ),
        "both": alike(halves),
    }


def _ends(values: Sequence[float]) -> list[float]:
    return sorted({min(values), max(values)})


def comparable_of(board: Mapping[str, Any], pairs: Pairs, by_cell: ByCell) -> dict[str, Any]:
    """What the page of a table draws.

    Args:
        board: its leaderboard.
        pairs: of the same group.
        by_cell: see `outcomes_of`.
    """
    names = {block: number for number, block in enumerate(board["blocks"])}
    places = []
    for place in board["places"]:
        own = "" if place["name"] == "mean" else place["name"]
        if not place["pairs"]:
            continue
        blocks = pairs.cells[own]
        seeds = sorted(
            {seed for b in blocks for cell in pairs.cells_of(b, own) for seed in pairs.of.table[cell]},
            key=str,
        )
        places.append(
            {
                "name": place["name"],
                "compared": [names[plain(block, lines=False)] for block in blocks],
                "pairs": place["pairs"] | pairs.more_columns(own),
                "seeds": [str(seed) for seed in seeds],
                "values": [[_accuracy(pairs, block, own, seed) for seed in seeds] for block in blocks],
                "images": images_of(pairs, own, by_cell),
            }
        )
    kept = {
        name: board[name]
        for name in ("key", "title", "blocks", "accuracy", "left_out", "spread", "reference")
    }
    return {**kept, "places": places, "enough": ENOUGH_SIGNS, "margin": 100 * MARGIN}


def _accuracy(pairs: Pairs, block: str, place: str, seed: object) -> float | None:
    """In percent; over positions the mean, of a seed that all of them have."""
    values = [pairs.of.table[cell].get(seed) for cell in pairs.cells_of(block, place)]
    present = [value for value in values if value is not None]
    return round(100 * sum(present) / len(present), 3) if len(present) == len(values) else None


def compare_page(
    frame: Shell,
    board: Mapping[str, Any],
    addresses: Mapping[str, str],
    others: Sequence[tuple[str, str]],
    here: str,
) -> str:
    """The text of the page.

    Args:
        frame: of the site.
        board: see `comparable_of`.
        addresses: of the pages of blocks, by name.
        others: titles and addresses of the pages of other tables.
        here: its address.
    """
    links = "".join(f'<li><a href="{page(address)}">{page(title)}</a></li>' for title, address in others)
    block_pages = {block: addresses[block] for block in board["blocks"] if block in addresses}
    body = f"""<h1>Compare two blocks</h1>
<p class="lead">{page(board["title"])}</p>
{f'<p class="small">{page(board["left_out"])}.</p>' if board["left_out"] else ""}
<div class="controls" id="controls"></div>
<p class="skip" role="status" id="spoken"></p>
<div id="answer"></div>
{f"<h2>Other tables</h2><ul>{links}</ul>" if links else ""}"""
    return frame.page(
        "Compare two blocks", body, here=here, scripts=SCRIPTS, data={**board, "addresses": block_pages}
    )
