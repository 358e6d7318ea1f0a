"""Counting without computing, against building the model and running torchinfo.summary on it.

Thirty configurations (ten published blocks at three positions), the same in both ways, in one process, the two
ways in turns. Prints ratios of times: ours / torchinfo's.

    python benchmarks/profile.py
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder holds a profile.py, which would hide the standard library's

import statistics
import time
from collections.abc import Callable

import torch
import torchinfo

from blockzoo import ScaffoldNet, profile_block
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.environment import describe, environment
from blockzoo.measure import costs

PUBLISHED = [name for name in BLOCKS.names(variants=True) if name.endswith("@published")]
CONFIGURATIONS = [(name, position) for name in PUBLISHED for position in POSITIONS]
ROUNDS = 5


def baseline() -> None:
    for name, position in CONFIGURATIONS:
        torchinfo.summary(ScaffoldNet(name, position), (1, 3, 32, 32), verbose=0)


def counts() -> None:
    costs._measured.clear()  # nothing may come from an earlier round
    for name, position in CONFIGURATIONS:
        profile_block(name, position, memory=False)


def everything() -> None:
    costs._measured.clear()
    for name, position in CONFIGURATIONS:
        profile_block(name, position)


def seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    print(
        describe(environment(device="cpu")), f"; torchinfo {torchinfo.__version__}; {ROUNDS} rounds", sep=""
    )
    for work in (baseline, counts, everything):
        work()  # imports and caches of torch
    times = [(seconds(baseline), seconds(counts), seconds(everything)) for _ in range(ROUNDS)]
    print(
        f"torchinfo.summary of {len(CONFIGURATIONS)} models: {statistics.median(t[0] for t in times):.2f} s"
    )
    for column, name, target in ((1, "parameters and MACs", 1 / 4), (2, "everything", 2 / 3)):
        ratios = sorted(t[column] / t[0] for t in times)
        print(
            f"{name:20} {statistics.median(t[column] for t in times):.2f} s, ratio {statistics.median(ratios):.3f} "
            f"({ratios[0]:.3f} to {ratios[-1]:.3f}; target at most {target:.3f})"
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
