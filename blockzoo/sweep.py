"""sweep: a grid of trials, each a process; every outcome a row; what is done is skipped; then all networks are timed."""

from __future__ import annotations

import sys

from blockzoo.trials.grid import Call, SweepResult, grid, run_trials
from blockzoo.trials.sweep import run_sweep

__all__ = ["Call", "SweepResult", "grid", "run_sweep", "run_trials"]


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["sweep", *sys.argv[1:]]))
