"""What a results store costs as it grows: seconds and peak memory of reading, filtering, adding and grouping.

    python benchmarks/store.py [--trials 1000 10000 100000] [--rounds 3]

The trials are made here: all blocks of the zoo at three positions with ten seeds in each setting (a learning rate and a width),
ten epochs each, and one latency record of 422 samples for each network. Every figure is of a process of its own, from its start
to its end, the least of the rounds: seconds that passed, seconds of processor, peak memory of the whole process. The first line
is Python with the imports that a command needs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from blockzoo.core import export as exporting
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.export import export
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec

SEEDS, EPOCHS = 10, 10
FACTS = {
    "cpu": "made",
    "device": "cpu",
    "dtype": "float32",
    "threads": 1,
    "torch": "2",
    "environment_id": "0" * 16,
}


def networks() -> Iterator[tuple[NetworkSpec, float]]:
    """Networks and learning rates, setting by setting, without end."""
    names = BLOCKS.names()
    for setting in itertools.count(1):
        for name, position in itertools.product(names, POSITIONS):
            yield NetworkSpec(f"{name}/{position}", base_channels=setting), 0.001 * setting


def records(trials: int) -> Iterator[Record]:
    """So many trials, and the times of their networks, in the order in which sweeps would leave them."""
    rng = random.Random(0)
    left = trials
    for network, lr in networks():
        subject, key = network.subject, network.timing_key(32)
        trial = TrialSpec(network=network, lr=lr, epochs=EPOCHS)
        comparable = trial.to_json()
        for seed in range(min(SEEDS, left)):
            spec = {**comparable, "seed": seed}
            name = f"{rng.getrandbits(64):016x}"
            yield Record(
                "trial",
                name,
                subject,
                spec,
                values=_values(rng, key),
                samples=_curves(rng),
                environment=FACTS,
            )
        times = {f"{part}_ms": [rng.uniform(1, 1.2) for _ in range(n)] for part, n in SAMPLES.items()}
        way = {**FACTS, "timed_on": "made, fp32, contiguous, eager, 1 threads"}
        yield Record("latency", key, subject, asdict(network), samples=times, environment=way)
        left -= SEEDS
        if left <= 0:
            return


SAMPLES = {"network_batch1": 200, "stage_batch1": 200, "network_batch256": 11, "stage_batch256": 11}


def _values(rng: random.Random, key: str) -> dict[str, float | int | str | None]:
    accuracy = rng.uniform(0.5, 0.9)
    names = "params_total params_trainable params_trained flops macs peak_activation_bytes saved_activation_bytes".split()
    counts: dict[str, float | int | str | None] = {name: rng.randrange(10**6) for name in names}
    counts |= {f"stage_{name}": rng.randrange(10**5) for name in names}
    counts |= {
        "val_acc": accuracy,
        "test_acc": accuracy - 0.01,
        "best_val_acc": accuracy,
        "train_acc": accuracy + 0.01,
    }
    counts |= {
        "val_loss": 1.0,
        "test_loss": 1.1,
        "train_loss": 0.9,
        "training_time": rng.uniform(10, 11),
        "memory_mb": 1.5,
    }
    return counts | {"timing_key": key, "image_size": 32, "split": "made-v1", "checked": 0.0}


def _curves(rng: random.Random) -> dict[str, list[float]]:
    names = ("seconds", "train_acc", "train_loss", "train_top5", "val_acc", "val_loss", "val_top5")
    return {name: [rng.random() for _ in range(EPOCHS)] for name in names}


def start(folder: Path) -> None:
    """Only the imports."""
    import blockzoo.cli.app  # noqa: F401
    import blockzoo.core.outputs  # noqa: F401
    import blockzoo.report.runs  # noqa: F401
    import blockzoo.report.tables  # noqa: F401


def results(folder: Path) -> None:
    _command("results", str(folder))


def filtered(folder: Path) -> None:
    _command("results", str(folder), "--where", "block=ResNetBasicBlock")


def one_setting(folder: Path) -> None:
    _command("results", str(folder), "--where", "base_channels=1")


def add(folder: Path) -> None:
    """What `train` does with a trial and then with its times."""
    outputs = Outputs.at(folder)
    store = outputs.store()
    spec = TrialSpec(
        network=NetworkSpec("ResNetBasicBlock/mid", base_channels=9999), seed=random.randrange(10**9)
    )
    trial, latency, *_ = (*itertools.islice(records(1), 2),)
    trial = replace(trial, fingerprint=spec.fingerprint(), spec=spec.to_json())
    trial.values["timing_key"] = key = spec.fingerprint()
    store.add(trial)
    export(outputs, store)
    store.add(replace(latency, fingerprint=key))
    export(outputs, store)
    assert exporting.rows_of(store, [trial.fingerprint])[0]["latency_ms"]


def table(folder: Path) -> None:
    """The whole table as a file."""
    _command("results", str(folder), "--format", "csv")


def grouping(folder: Path) -> None:
    """What `visualize` finds to draw."""
    from blockzoo.report.charts import charts
    from blockzoo.report.comparable import comparables
    from blockzoo.visualize import rows_of

    assert any(charts(of) for of in comparables(rows_of(Outputs.at(folder).database)))


def merged(folder: Path) -> None:
    """All records of the folder into one that is empty."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as empty:
        _command("store", "merge", str(folder), "--output", empty)


def _command(*words: str) -> None:
    from blockzoo.cli.app import run

    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if code := run(list(words)):
        raise SystemExit(code)


WHAT = {
    "start": start,
    "results of one block": filtered,
    "results of one setting": one_setting,
    "results": results,
    "results as CSV": table,
    "one trial and its times": add,
    "groups of visualize": grouping,
    "merged into an empty one": merged,
}


def measured(name: str, folder: Path, rounds: int) -> tuple[float, float]:
    """Least seconds and MiB of a process that does it."""
    runs = []
    for _ in range(rounds):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--do", name, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        runs.append((time.perf_counter() - began, float(done.stdout.split()[-1])))
    return min(seconds for seconds, _ in runs), min(mib for _, mib in runs)


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--do", nargs=2, metavar=("WHAT", "FOLDER"))
    parser.add_argument("--make", nargs=2, metavar=("TRIALS", "FOLDER"))
    options = parser.parse_args()
    if (
        options.make
    ):  # in a process of its own: what it takes would count as the peak of all that are started after it
        outputs = Outputs.at(options.make[1])
        outputs.store().add(*records(int(options.make[0])))
        export(outputs, outputs.store())
        return
    if options.do:
        kept = os.dup(1)
        WHAT[options.do[0]](Path(options.do[1]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(kept, f"{peak:.1f}\n".encode())
        return
    print(f"{'':26}" + "".join(f"{f'{trials:,} trials':>26}" for trials in options.trials))
    columns = []
    for trials in options.trials:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
            subprocess.run([sys.executable, __file__, "--make", str(trials), folder], check=True)
            columns.append([measured(name, Path(folder), options.rounds) for name in WHAT])
    for name, *figures in zip(WHAT, *columns, strict=True):
        print(f"{name:26}" + "".join(f"{seconds:15.2f} s {mib:5.0f} MiB" for seconds, mib in figures))


if __name__ == "__main__":
    main()
