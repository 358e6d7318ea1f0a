"""How things look, alike in every picture: blocks, positions, verdicts and names; and figures as files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from blockzoo.core.figures import UNKNOWN_LETTER as UNKNOWN_LETTER
from blockzoo.core.figures import save as save  # all pictures are written alike
from blockzoo.core.text import picture
from blockzoo.report.difference import Kind

# Okabe and Ito's colours, which the colour-blind can tell apart; then Tol's muted ones
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FA3", "#8C564B", "#5F6B6D", "#B3A100",
           "#332288", "#882255", "#44AA99", "#AA4499", "#117733")  # fmt: skip
MARKERS = "osD^vPX"
INK, FAINT, GRID = "#333333", "#8A8A8A", "#E6E6E6"
LONGEST = 30
"""Letters of a name that are shown; of a longer one its beginning and its end."""


@dataclass(frozen=True)
class Mark:
    """A marker of matplotlib, its colour and its face.

    Args:
        marker: its form.
        colour: of its edge and of lines.
        face: of its inside.
    """

    marker: str
    colour: str
    face: str


VERDICTS: dict[Kind, Mark] = {
    "better": Mark("^", "#01665E", "#01665E"),
    "worse": Mark("v", "#B9770E", "#DFA54A"),
    "equal": Mark("s", "#6E6E6E", "#C9C9C9"),
    "unresolved": Mark("o", "#6E6E6E", "#FFFFFF"),
}
"""Told apart by form, by colour, and by how dark they are."""
PLACES = {
    "early": Mark("o", "#0D0887", "#0D0887"),
    "mid": Mark("s", "#B12A90", "#B12A90"),
    "late": Mark("D", "#E8862E", "#E8862E"),
    "": Mark("o", INK, INK),
}
"""Of positions: told apart by form, by colour, and by how dark they are."""


def look(blocks: Iterable[str]) -> dict[str, Mark]:
    """Colour and marker of each block: colours first, then the next marker with the same colours."""
    return {
        block: Mark(MARKERS[i // len(COLOURS) % len(MARKERS)], colour := COLOURS[i % len(COLOURS)], colour)
        for i, block in enumerate(sorted(set(blocks)))
    }


def labels(names: Iterable[str]) -> dict[str, str]:
    """Names as they are written in a picture, each on one line, none like another: the middle of a long one is left out.

    Examples:
        >>> labels(["A", "", "a" * 20 + "b" * 20])["a" * 20 + "b" * 20]
        'aaaaaaaaaaaaaa…bbbbbbbbbbbbbbb'
    """
    by_name: dict[str, str] = {}
    for name in sorted(set(names)):
        line = " ".join(name.replace("\n", "\\n").split()) or "(no name)"
        half = (LONGEST - 1) // 2
        short = line if len(line) <= LONGEST else f"{line[:half]}…{line[-(LONGEST - 1 - half) :]}"
        shown, number = short, 1
        while picture(shown) in by_name.values():
            number += 1
            shown = f"{short} ({number})"
        by_name[name] = picture(shown)
    return by_name


def wrapped(text: str, inches: float, points: float) -> list[str]:
    """Lines of a text that is so wide at most at so many points, escaped for matplotlib."""
    width = max(20, int(inches * 72 / (0.56 * points)))
    return [picture(line) for part in text.split("\n") for line in textwrap.wrap(part, width) or [""]]
