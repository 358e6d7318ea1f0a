"""A row of the results to cite: a BibTeX entry, and a badge as SVG."""

from __future__ import annotations

import re
from dataclasses import dataclass

from blockzoo.core.citations import bibtex_text, entry
from blockzoo.core.text import file_name, page, plain

LETTER = 6.6
"""Pixels of a letter of a badge, on average; the text is drawn as wide as is reckoned with."""
LONGEST = 40
"""Letters of a badge's name."""


@dataclass(frozen=True)
class Row:
    """What is cited.

    Args:
        block: which.
        position: where; empty for a whole network.
        table: what its table has in common.
        accuracy: as text, with its interval.
        rank: as text; empty where there is none.
        n: seeds.
        key: of the table.
        version: of blockzoo.
        date: on which the site was made.
    """

    block: str
    position: str
    table: str
    accuracy: str
    rank: str
    n: int
    key: str
    version: str
    date: str

    @property
    def name(self) -> str:
        """The block and its position."""
        return f"{self.block} at {self.position}" if self.position else self.block


def bibtex(row: Row) -> str:
    """An entry of the row."""
    key = f"blockzoo-{re.sub(r'[^A-Za-z0-9-]', '', file_name(row.block))[:40]}-{row.position or 'network'}-{row.key}"
    ranked = f", rank {row.rank}" if row.rank else ""
    note = f"{row.table}: {row.accuracy}, n = {row.n}{ranked}"
    fields = {
        "title": bibtex_text(f"{row.name}: a result of the blockzoo leaderboard"),
        "author": "{The blockzoo authors}",
        "year": row.date[:4],
        "note": bibtex_text(note),
        "howpublished": bibtex_text(f"blockzoo {row.version}, table {row.key}, {row.date[:10]}"),
    }
    return entry("misc", key, fields)


def badge(row: Row) -> str:
    """A badge: the block and its position, accuracy and rank."""
    left = plain(row.name, lines=False)
    left = left if len(left) <= LONGEST else f"{left[: LONGEST - 1]}\u2026"
    right = row.accuracy + (f", rank {row.rank}" if row.rank else "")
    first, second = (LETTER * len(text) + 16 for text in (left, right))
    whole = first + second
    label = page(f"{left}: {right}")

    def words(text: str, x: float, wide: float) -> str:
        return f'<text x="{x:.1f}" y="14" textLength="{wide - 16:.1f}" lengthAdjust="spacingAndGlyphs">{page(text)}</text>'

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="20" role="img" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<rect width="{whole:.0f}" height="20" rx="4" fill="#3b444d"/>'
        f'<path fill="#0b57a4" d="M{first:.1f} 0H{whole - 4:.1f}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H{first:.1f}z"/>'
        '<g fill="#ffffff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11">'
        f"{words(left, 8, first)}{words(right, first + 8, second)}</g></svg>\n"
    )
