"""Reading a benchmark of 91,125 networks from every format, as ratios to `pickle.load` of the same rows in the same run.

    python benchmarks/nas_io.py [--rounds 3] [--epochs 200]

The set is made here: curves that rise and level off, losses that fall, hashes of the real space. "Reading" is every column
decoded into an array (counts as uint16, losses as whole millionths: what the published lists hold, exactly); `values` adds
turning them into floats. Resident memory is the arrays' against the lists'.
"""

from __future__ import annotations

import argparse
import gc
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import blockzoo.nas as nas
from blockzoo.core.environment import environment
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files.columns import ACCURACY, HASH, MILLIONTHS, VECTOR, WHOLE, Column
from blockzoo.nas.files.header import parse
from blockzoo.nas.files.inflate import inflater
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.hashing import all_hashes

TARGETS = {"native": 0.002, "blox": 0.15, "csv": 0.5}
FLOAT_IN_A_LIST = 24 + 8
"""Bytes of a Python float and of the pointer to it."""


def tables(epochs: int) -> dict[str, Table]:
    """The base, the extended and the static part of a made-up release of the whole space."""
    space, rng = nas.MacroSpace(), np.random.default_rng(0)
    n = len(space)
    hashes = Column(HASH, np.array(all_hashes(("conv", "mbconv", "bconv"), 2, 3)))
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / (epochs / 5))

    def accuracy(total: int, low: float, high: float) -> Column:
        curves = rng.uniform(low, high, (n, 1)) * rise + rng.normal(0, 0.01, (n, epochs))
        return Column(ACCURACY, np.clip(curves * total, 0, total).astype(np.uint16), total)

    def loss() -> Column:
        curves = 4.6 * (1 - 0.9 * rise) + rng.normal(0, 0.05, (n, epochs))
        return Column(MILLIONTHS, (np.clip(curves, 0.001, 9) * 1e6).astype(np.uint32))

    def last(column: Column) -> Column:
        return Column(column.kind, column.data[:, -1].copy(), column.total)

    params, macs = nas.static_info()
    return {
        "base": Table(
            {
                "model_hash": hashes,
                "val_top1": accuracy(5000, 0.4, 0.75),
                "test_top1": last(accuracy(10_000, 0.4, 0.75)),
                "train_time_s": Column(WHOLE, rng.integers(3000, 20_000, n).astype(np.uint32)),
            }
        ),
        "ext": Table(
            {
                "model_hash": hashes,
                "train_top1": accuracy(45_000, 0.5, 0.99),
                "train_loss": loss(),
                "train_top5": accuracy(45_000, 0.6, 0.999),
                "val_loss": loss(),
                "val_top5": accuracy(5000, 0.6, 0.95),
                "test_loss": last(loss()),
                "test_top5": last(accuracy(10_000, 0.6, 0.95)),
            }
        ),
        "info": Table(
            {
                "model_hash": hashes,
                "params": Column(WHOLE, params.astype(np.uint32)),
                "flops": Column(WHOLE, macs.astype(np.uint32)),
                "arch_vec": Column(VECTOR, space.vectors(np.arange(n))),
            }
        ),
    }


def seconds(read: Callable[[], object], rounds: int) -> list[float]:
    """Times of `rounds` calls; what is read is freed outside the clock."""
    times = []
    for _ in range(rounds):
        gc.collect()
        begin = time.perf_counter()
        kept = read()
        times.append(time.perf_counter() - begin)
        del kept
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    facts = environment()
    machine = f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}"
    print(f"{machine}, inflate by {inflater().__name__}, n = {options.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for part, table in tables(options.epochs).items():
            kind = "static" if part == "info" else "training"
            header = {
                **header_of(nas.MacroSpace(), kind),
                "columns": list(table),
                "part": part,
                "epochs": options.epochs,
            }
            paths = {
                s: nas.write_dataset_file(Path(folder) / f"{part}.{s}", header, table)
                for s in ("pickle", *TARGETS)
            }
            raw = paths["pickle"].read_bytes()
            payload = raw[parse(raw)[1] :]
            small = table.nbytes
            lists = sum(
                c.data.size * FLOAT_IN_A_LIST
                for n, c in table.stored.items()
                if c.kind in (ACCURACY, MILLIONTHS, WHOLE)
            )
            del table
            times = {"pickle": seconds(lambda payload=payload: pickle.loads(payload), options.rounds)}
            del raw, payload
            for suffix in TARGETS:
                rounds = options.rounds * (10 if suffix == "native" else 1)
                times[suffix] = seconds(lambda path=paths[suffix]: nas.read_dataset_file(path), rounds)
            baseline = statistics.median(times["pickle"])
            print(
                f"\n{part}: pickle.load {baseline:.2f} s; arrays take 1/{lists / small:.0f} of the memory of the lists"
            )
            for suffix, target in TARGETS.items():
                median = statistics.median(times[suffix])
                size = paths[suffix].stat().st_size / 2**20
                ratio = f"ratio {median / baseline:.4f}   target {target}"
                print(f"  .{suffix:7s} {median * 1e3:9.1f} ms   {ratio}   {size:.0f} MiB on disk")
            for path in paths.values():
                path.unlink()


if __name__ == "__main__":
    main()
