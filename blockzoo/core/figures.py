"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNKNOWN_LETTER = r"(?s)Glyph \d+ .*missing"
"""What matplotlib warns of, at each text, where its font lacks a letter: it draws a box, and an SVG has the letter."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the format is the suffix's. The same figure gives the same SVG."""
    import warnings

    import matplotlib

    metadata = {"Date": None} if path.suffix == ".svg" else None
    with (
        matplotlib.rc_context({"svg.hashsalt": "blockzoo", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=UNKNOWN_LETTER)
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, metadata=metadata))
