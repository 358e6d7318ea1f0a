"""The figure of matplotlib that all pictures are drawn on, by matplotlib's settings and the user's own.

A `matplotlibrc` in the current folder is one that matplotlib reads unasked, and can have it start LaTeX. A command reads the
settings again without it; a program of the user's has those that it made.
"""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure

from blockzoo.core import consent
from blockzoo.core.safe_path import elsewhere

__all__ = ["Figure"]

if consent.granted() is not None:
    with elsewhere():
        matplotlib.rc_file(matplotlib.matplotlib_fname())
