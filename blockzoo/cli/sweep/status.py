"""status: where the last sweep of a folder stands: its trials by state, what runs, what went wrong"""

from __future__ import annotations

from pathlib import Path

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.typeset import name, number, prose


def status(output: o.Output = Path("results"), *, format: o.Format = "table", plugins: o.Plugins = ()) -> int:
    """Print how many trials are queued, leased, running, done and otherwise; then those that run and those without a result.

    It reads the folder and writes nothing; a sweep may be running there, on this machine or another.

    Examples:
        blockzoo sweep status
        blockzoo sweep status results --format json
    """
    from blockzoo.core.outputs import Outputs
    from blockzoo.execution.journal import standing

    sweep = standing(Outputs.at(output))
    rows = [dict(zip(("state", "subject", "seed", "said"), trial, strict=True)) for trial in sweep.trials]
    if format != "table":
        columns = ["state", name("subject"), number("seed"), prose("what is said")]
        lines = [tuple(map(str, trial)) for trial in sweep.trials]
        screen.show(screen.table("", columns, lines), rows, format)
        return 0
    counts = ", ".join(f"{number} {state}" for state, number in sorted(sweep.counts.items()))
    works = "a process works at them" if sweep.alive else "nobody works at them"
    screen.answer(f"{len(sweep.trials)} trials: {counts}; {works}", rows)
    for state, subject, seed, message in [t for t in sweep.trials if t[0] not in ("done", "queued")][:20]:
        screen.out.print(f"{state}: {subject} seed {seed}: {message}", markup=False, soft_wrap=True)
    return 0
