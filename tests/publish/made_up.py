"""Records as trainings and timings make them, without training or timing anything."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.outcomes import Outcomes
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store

BLOCKS = ("ResNetBasicBlock", "EdgeResidual", "GhostBottleneck")
IMAGES = 64
ENVIRONMENT = {
    "cpu": "Some CPU",
    "gpu": None,
    "cores": 4,
    "hostname": "secret-machine",
    "torch": "2.14.1",
    "blockzoo": "0.1.0",
    "device": "cpu",
    "dtype": "float32",
    "threads": 1,
    "environment_id": "made-up",
}


def trial(block: int = 0, seed: int = 0, *, status: Any = "ok", position: str = "mid", **more: Any) -> Record:
    """A training of a block at a position, its numbers drawn from block and seed."""
    draw = random.Random(f"{block} {seed} {position}")
    spec = TrialSpec(NetworkSpec(f"{BLOCKS[block]}/{position}", base_channels=8), seed=seed, epochs=2)
    hits = np.array([draw.random() < 0.5 + block / 10 for _ in range(IMAGES)])
    losses = np.array([draw.uniform(0.01, 3) for _ in range(IMAGES)])
    accuracy = float(hits.sum()) / IMAGES
    curves = {
        name: [draw.random() for _ in range(2)]
        for name in ("val_acc", "val_loss", "val_top5", "train_acc", "train_loss", "train_top5", "seconds")
    }
    values = {name: series[-1] for name, series in curves.items() if name != "seconds"}
    values |= {
        "best_val_acc": max(curves["val_acc"]), "test_acc": accuracy, "test_top5": draw.random(),
        "test_loss": float(Outcomes(hits, losses).losses.mean()), "split": "made-up-v1", "image_size": 32,
        "timing_key": spec.network.timing_key(32), "training_time": sum(curves["seconds"]),
        "params_total": 1000 + block, "macs": 2**53 - block, "flops": 2 * (2**53 - block), "stage_macs": 10,
    }  # fmt: skip
    given: dict[str, Any] = {
        "environment": ENVIRONMENT,
        "outcomes": Outcomes(hits, losses).to_texts(),
        **more,
    }
    values |= given.pop("values", {})
    samples = curves | given.pop("samples", {})
    return Record(
        "trial",
        spec.fingerprint(),
        spec.subject,
        spec.to_json(),
        status,
        values=values,
        samples=samples,
        **given,
    )  # type: ignore[arg-type]


def timing(
    block: int = 0, *, position: str = "mid", way: str = "Some CPU, fp32, eager", n: int = 7
) -> Record:
    """Times of the network of a block."""
    network = trial(block, position=position).spec["network"]
    draw = random.Random(f"{block} {way}")
    samples = {
        "network_batch1_ms": [draw.uniform(1, 1.1) for _ in range(n)],
        "network_batch64_ms": [draw.uniform(30, 31) for _ in range(n)],
        "stage_batch1_ms": [draw.uniform(0.4, 0.5) for _ in range(n)],
    }
    key = NetworkSpec(**network).timing_key(32)
    environment = {**ENVIRONMENT, "timed_on": way}
    return Record("latency", key, network["subject"], network, samples=samples, environment=environment)


def stored(folder: Path, *records: Record) -> Store:
    """A results folder with these records; by default of three blocks, two seeds and times in two ways."""
    store = Outputs.at(folder).store()
    store.add(*(records or usual()))
    return store


def usual() -> list[Record]:
    """Records of three blocks."""
    made = [trial(block, seed) for block in range(3) for seed in range(3)]
    made += [trial(0, 7, status="failed", reason="it fell", values={"test_acc": None}, outcomes={})]
    ways = ("Some CPU, fp32, eager", "Some CPU, bf16, eager")
    return made + [timing(block, way=way) for block in range(3) for way in ways]
