"""make_datasets.py: the files of a benchmark in release/, as pickle, csv and blox, from exp/combined.pickle (or exp/ itself)."""

from __future__ import annotations

import argparse
from pathlib import Path

from _compat import main, say

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.release import build_release

FORMATS = ("pickle", "csv", "blox")


def run(source: Path | None, output: Path) -> None:
    """Write base, ext, env and info; accuracies in .blox as the nearest count of images."""
    places = [source] if source else [Path("exp/combined.pickle"), Path("combined.pickle"), Path("exp")]
    results = next((place for place in places if place.exists()), None)
    if results is None:
        raise UsageError(
            f"there is none of {', '.join(map(str, places))}: run combine.py first, or name the results"
        )
    made = build_release(results, output, FORMATS, round_counts=True, overwrite=True, allow_pickle=True)
    say(f"Dataset has {made.networks} meaningful entries, from {results}")
    for begin, end in made.holes:
        say("Missing:", begin, end)
    for path in made.files:
        say("written", path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", type=Path, help="results (default: as above)")
    parser.add_argument("--output", "-o", type=Path, default=Path("release"))
    given = parser.parse_args()
    main(lambda: run(given.source, given.output))
