"""Try what docs/security.md promises against, and write its table anew: `python scripts/security.py [--fuzz 300]`."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PAGE = ROOT / "docs" / "security.md"
HEAD = "| what was tried | how often | what happened |\n|---|---:|---|\n"


def attempts() -> list[tuple[str, int, str]]:
    """A line for each attempt: what, how often, and what came of it."""
    from tests.safety.attempts import ATTEMPTS, held

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for place, tried in enumerate(ATTEMPTS):
            fails = [n for n in range(tried.times) if not held(tried, n, Path(folder) / f"{place}-{n}")]
            story = (
                f"did not hold {len(fails)} times, first in try {fails[0]}" if fails else "held every time"
            )
            lines.append((tried.name, tried.times, story))
            print(f"{tried.name}: {story} of {tried.times}", flush=True)
    return lines


def damaged(mutations: int) -> list[tuple[str, int, str]]:
    """A line for each format of files: damaged ones are read."""
    from tests.fuzz import entries
    from tests.fuzz.formats import FORMATS
    from tests.fuzz.harness import OTHER, REFUSED, RIGHT, run

    assert entries
    lines = []
    for name, kind in FORMATS.items():
        tally = run(kind, range(mutations))
        right, refused, other = (tally.counts[outcome] for outcome in (RIGHT, REFUSED, OTHER))
        faults = f"; {len(tally.faults)} faults" if tally.faults else ""
        story = f"{right} read as written, {refused} refused by name, {other} read as other values{faults}"
        lines.append((f"a damaged file, {name}", mutations, story))
        print(f"{name}: {story}", flush=True)
    return lines


def table(lines: list[tuple[str, int, str]]) -> str:
    """The lines as Markdown."""
    return HEAD + "".join(f"| {what} | {times:,} | {story} |\n" for what, times, story in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, default=300, help="damaged files of each format")
    given = parser.parse_args()
    made = table(attempts() + damaged(given.fuzz))
    text = re.sub(r"\| what was tried .*?\n(?=\n|\Z)", lambda _: made, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
