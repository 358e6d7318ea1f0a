"""Made-up results: a store with trainings, times in two ways, outcomes of images and block-wise runs, and tables of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.csv_file import write_csv
from blockzoo.core.outcomes import Outcomes
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec, fingerprint_of
from blockzoo.core.store import Store

BLOCKS = (
    "ResNetBasicBlock",
    "InvertedResidual",
    "GhostBottleneck",
    "RepVGGBlock",
    "RepMixer",
    "ConvNeXtBlock",
)
PLACES = ("early", "mid", "late")
WAYS = ("Some CPU, fp32, contiguous, eager, 1 threads", "Some CPU, bf16, contiguous, onnxruntime, 1 threads")
IMAGES = 500
EPOCHS = 5


def trials(
    blocks: Sequence[str] = BLOCKS,
    *,
    seeds: int = 3,
    budgets: Sequence[str | None] = ("iso-macs 1", "iso-macs 0.5"),
    text: str = "",
) -> Iterator[Record]:
    """Trainings of blocks at all positions, with outcomes of images; differences of blocks are larger than noise."""
    draw = np.random.default_rng(0)
    worth = {block: draw.normal(0, 0.03) for block in blocks}
    luck, hard = draw.normal(0, 0.01, seeds), draw.uniform(0, 1, IMAGES)
    for budget in budgets:
        for number, block in enumerate(blocks):
            for place in PLACES:
                network = NetworkSpec(
                    f"ResNetBasicBlock/{place}",
                    num_blocks=1,
                    base_channels=8,
                    filler="identity",
                    budget=budget,
                )
                for seed in range(seeds):
                    spec = TrialSpec(network=network, dataset="digits", epochs=EPOCHS, seed=seed).to_json()
                    spec["network"]["subject"] = f"{block}/{place}"
                    right = (
                        0.6
                        + worth[block]
                        + luck[seed]
                        + draw.normal(0, 0.004)
                        - (0.05 if budget == "iso-macs 0.5" else 0)
                    )
                    hits = hard + draw.normal(0, 0.05, IMAGES) < right
                    accuracy = float(hits.mean())
                    curve = [accuracy * (1 - 0.5 ** (epoch + 1)) for epoch in range(EPOCHS)]
                    yield Record(
                        *(
                            "trial",
                            f"{len(budget or '')}{number:05}{PLACES.index(place)}{seed:02}".rjust(16, "0"),
                        ),
                        f"{block}/{place}",
                        spec,
                        values=values(number, accuracy) | {"timing_key": key(block, place, budget)},
                        samples={
                            "val_acc": curve,
                            "train_loss": [2.0 - 1.5 * a for a in curve],
                            "seconds": [1.0] * EPOCHS,
                        },
                        outcomes=Outcomes(hits, np.where(hits, 0.3, 2.0)).to_texts(),
                        environment={
                            "cpu": "Some CPU",
                            "device": "cpu",
                            "torch": "2.14.1",
                            "blockzoo": "0.1.0",
                            "threads": 1,
                        },
                        experiment_name=text,
                        notes=text,
                        timestamp=f"2026-11-{10 + seed:02}T12:00:00+00:00",
                    )


def values(number: int, accuracy: float) -> dict[str, Any]:
    macs = 1_000_000 + 150_000 * number
    return {
        "val_acc": accuracy - 0.01,
        "test_acc": accuracy,
        "macs": macs,
        "flops": 2 * macs,
        "params_total": 20_000 + 1500 * number,
        "peak_activation_bytes": 65536 * (1 + number % 3),
        "image_size": 8,
    }


def key(block: str, place: str, budget: str | None) -> str:
    return fingerprint_of([block, place, budget])


def latencies(
    blocks: Sequence[str] = BLOCKS, budgets: Sequence[str | None] = ("iso-macs 1", "iso-macs 0.5")
) -> Iterator[Record]:
    """Times of the networks in two ways at two batch sizes."""
    draw = np.random.default_rng(1)
    for budget in budgets:
        for number, block in enumerate(blocks):
            for place in PLACES:
                network = asdict(
                    NetworkSpec(f"ResNetBasicBlock/{place}", num_blocks=1, base_channels=8, filler="identity")
                )
                network["subject"] = f"{block}/{place}"
                for factor, way in zip((1.0, 0.6), WAYS, strict=True):
                    samples = {
                        f"{part}_batch{batch}_ms": list(
                            draw.normal(share * factor * (1 + 0.2 * number) * batch**0.8, 0.01, 40)
                        )
                        for part, share in (("network", 1.0), ("stage", 0.3))
                        for batch in (1, 32)
                    }
                    yield Record(
                        *("latency", key(block, place, budget), f"{block}/{place}", network),
                        samples=samples,
                        environment={"timed_on": way, "cpu": "Some CPU"},
                    )


def runs() -> Iterator[Record]:
    """Block-wise runs."""
    for mode, loss in (("jacobi", 0.42), ("entire", 0.31)):
        yield Record(
            *(
                "blockwise",
                f"{mode:>016}",
                "feedforward",
                {"model": "feedforward", "training_mode": mode, "seed": 0},
            ),
            values={
                "round": 40,
                "validation_loss": loss,
                "validation_accuracy": 1 - loss,
                "gradient_evaluations_total": 80,
            },
        )


def store(folder: Path, blocks: Sequence[str] = BLOCKS, **how: Any) -> Path:
    """A results folder with all of it."""
    kept = Store(folder / "results.sqlite")
    kept.add(*trials(blocks, **how), *latencies(blocks), *runs())
    return folder


def rows(blocks: int, *, seeds: int = 3, tables: int = 1) -> list[dict[str, Any]]:
    """A table without a store."""
    draw = np.random.default_rng(2)
    made = []
    for table in range(tables):
        for number in range(blocks):
            worth = draw.normal(0, 0.02)
            for place in PLACES:
                for seed in range(seeds):
                    accuracy = float(0.6 + worth + 0.01 * seed + draw.normal(0, 0.006))
                    made.append(
                        {
                            "timestamp": "2026-11-20T12:00:00+00:00",
                            "block": f"Block{number:04}",
                            "position": place,
                            "seed": seed,
                            "dataset": "cifar10",
                            "protocol": "fast-v1",
                            "epochs": 3 + table,
                            "lr": 0.2,
                            "status": "ok",
                            "comparable": f"{table:016}",
                            "fingerprint": f"{len(made):016}",
                            "latency_ms": 1 + 0.01 * number,
                            "latency_low_ms": 0.99 + 0.01 * number,
                            "latency_high_ms": 1.01 + 0.01 * number,
                            "latency_device": WAYS[0],
                            **values(number, accuracy),
                        }
                    )
    return made


def table(path: Path, made: list[dict[str, Any]]) -> Path:
    """Rows as a CSV file."""
    write_csv(path, made)
    return path
