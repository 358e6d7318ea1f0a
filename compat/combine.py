"""combine.py exp --output combined.pickle: the results of all workers in one pickle of plain values, by hash.

`exp` is a folder of `blockzoo nas train`, or pickles of the published launcher (files or their folder).
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

from _compat import main, say

from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_atomically
from blockzoo.nas.benchmark.release import gathered, holes
from blockzoo.nas.benchmark.results_pickles import published_entry
from blockzoo.nas.space.search_space import published_space


def run(sources: list[Path], output: Path, seed: int = 0) -> None:
    """Gather, say what is missing, write."""
    combined: dict[str, Any] = {}
    for source in sources:
        trained = gathered(source, allow_pickle=True)
        for line in trained.unfinished:
            say("not finished:", line)
        rows = trained.rows.get(seed, {})
        if twice := set(rows) & set(combined):
            say(f"{len(twice)} networks of {source} were there before: the later results are kept")
        story = {"dataset": trained.header.get("dataset"), "setting": trained.header.get("setting")}
        combined |= {
            text: published_entry(row, trained.static[text], trained.env[seed][text], story)
            for text, row in rows.items()
        }
    if not combined:
        raise UsageError(f"{', '.join(map(str, sources))}: no finished training of seed {seed}")
    indices = {published_space().index_of_hash(text) for text in combined}
    for begin, end in holes(indices):
        say(f"Hole: {begin} - {end + 1}")
    write_atomically(output, lambda temporary: temporary.write_bytes(pickle.dumps(combined, protocol=4)))
    say(f"{len(combined)} networks, last {max(indices)}, written to {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="+", type=Path)
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="which seed, where there are several")
    given = parser.parse_args()
    main(lambda: run(given.file, given.output, given.seed))
