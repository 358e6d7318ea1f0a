"""The macro space on a clock: all hashes cold, index and hash of many and of one, static costs, queries, simulated search.

    python benchmarks/nas_space.py [--rounds 5]

The baseline of the ratios is one explicit graph per network (tests/reference/macro_graphs.py), as earlier tools worked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import blockzoo.nas as nas
from blockzoo.core.environment import environment
from blockzoo.nas.benchmark.surrogate import surrogate_of
from blockzoo.nas.search.simulate import search
from blockzoo.nas.search.task import Task
from blockzoo.nas.space.costs import _static_info
from tests.reference import macro_graphs


def rate(call: Callable[[], object], items: int, rounds: int) -> float:
    """Items per second: the median over rounds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return items / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    facts = environment()
    print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, n = {rounds} rounds\n")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BLOCKZOO_CACHE"] = cache
        begin = time.perf_counter()
        space = nas.MacroSpace()
        space.hashes()
        print(
            f"enumeration and all {len(space):,} hashes, cold   {time.perf_counter() - begin:8.1f} s     target 15"
        )
        vectors = space.vectors(np.random.default_rng(0).integers(0, len(space), 2_000_000)).astype(np.uint8)
        indices = space.index(vectors)
        some = [space.arch_vec(int(i)) for i in indices[:20_000]]
        slow = rate(lambda: [macro_graphs.hash_of(arch) for arch in some[:200]], 200, 1)
        print(f"one explicit graph per hash (baseline)        {slow:12,.0f} /s")
        for name, call, items, target in (
            ("index of vectors (2 M, 15) uint8", lambda: space.index(vectors), len(vectors), 10_000_000),
            ("hash of indices (2 M)", lambda: space.hash(indices), len(vectors), 10_000_000),
            ("index, one by one", lambda: [space.index(arch) for arch in some], len(some), 500_000),
            ("hash, one by one", lambda: [space.hash(arch) for arch in some], len(some), 500_000),
        ):
            per_second = rate(call, items, rounds)
            print(f"{name:45s} {per_second:12,.0f} /s   {per_second / slow:9,.0f} x   target {target:,}")
        per_second = rate(lambda: _static_info.__wrapped__(space, nas.Skeleton()), 1, rounds)
        print(f"params and MACs of all networks               {1e3 / per_second:12.1f} ms   target 50")
        benchmark = surrogate_of(nas.load("mini"))
        asked = indices[:1_000_000]
        per_second = rate(lambda: benchmark.val_acc(asked), len(asked), rounds)
        print(f"val_acc of indices (1 M)                      {per_second:12,.0f} /s   target 10,000,000")
        task = Task(benchmark, budget=20_000)
        for name in ("random", "evolution"):
            search(Task(benchmark, 100), name)
            begin = time.perf_counter()
            ledger = search(task, name)
            per_second = len(ledger.history) / (time.perf_counter() - begin)
            print(
                f"simulated evaluations, {name:20s}   {per_second:12,.0f} /s   target 100,000 (one process)"
            )


if __name__ == "__main__":
    main()
