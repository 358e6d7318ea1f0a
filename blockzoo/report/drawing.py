"""The figure of matplotlib that all pictures are drawn on, by matplotlib's settings and the user's own.

A `matplotlibrc` in the current folder is one that matplotlib reads unasked, and can have it start LaTeX. A command reads the
settings again without it; a program of the user's has those that it made.
"""

from __future__ import annotations

import io

import matplotlib
from matplotlib import figure as of_matplotlib

from blockzoo.core import consent
from blockzoo.core.safe_path import elsewhere

__all__ = ["Figure"]


class Figure(of_matplotlib.Figure):
    """One of matplotlib that a notebook shows where it is the last value of a cell; no window and no backend is asked for."""

    def _repr_png_(self) -> bytes:
        shown = io.BytesIO()
        self.savefig(shown, format="png", dpi=100)
        return shown.getvalue()


if consent.granted() is not None:
    with elsewhere():
        matplotlib.rc_file(matplotlib.matplotlib_fname())
