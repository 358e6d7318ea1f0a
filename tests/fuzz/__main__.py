"""python -m tests.fuzz [FORMAT ...] [--mutations 20000] [--first 0]: a table of what came of damaged files."""

from __future__ import annotations

import argparse

from tests.fuzz import entries
from tests.fuzz.formats import FORMATS
from tests.fuzz.harness import OTHER, REFUSED, RIGHT, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "formats", nargs="*", choices=[[], *FORMATS], metavar="FORMAT", help=", ".join(FORMATS)
    )
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    given = parser.parse_args()
    print("| format | mutations | right content | refused | other content | faults | most MiB | slowest s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.formats or FORMATS:
        tally = run(FORMATS[name], range(given.first, given.first + given.mutations))
        good = [tally.counts[outcome] for outcome in (RIGHT, REFUSED, OTHER)]
        numbers = [
            given.mutations,
            *good,
            len(tally.faults),
            f"{tally.peak_mib:.0f}",
            f"{tally.slowest_s:.2f}",
        ]
        print(f"| {name} | {' | '.join(map(str, numbers))} |", flush=True)
        for number, fault in tally.faults[:20]:
            print(f"    {number}: {fault}", flush=True)


if __name__ == "__main__":
    assert entries
    main()
