"""Keyword arguments by name and type: written by `python scripts/settings.py` from the dataclasses of settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class ScaffoldKeywords(TypedDict, total=False):
    """The network around a block under test: three stages, one of which holds the block."""

    num_blocks: int
    base_channels: int
    filler: str | None
    transition: Literal["own", "shared"]
    active_blocks: int | None
    active_width: float


class BudgetingKeywords(TypedDict, total=False):
    """What the stage under test may cost; its width, then its depth, are chosen for it."""

    track: Literal["native", "iso-params", "iso-macs", "iso-latency"]
    budgets: Sequence[float]
    against: str


class DesigningKeywords(TypedDict, total=False):
    """Which trainings a comparison is made of."""

    design: Literal["isolated", "crossed", "halving"]
    replicates: int
    repeats: int
    follow: int
    survivors: int
    precision: float | None
    hours: float | None
    learning_rates: Sequence[float]


class RecipeKeywords(TypedDict, total=False):
    """How a network is trained. What is None is the protocol's."""

    protocol: str
    epochs: int | None
    batch_size: int | None
    lr: float | None
    momentum: float | None
    weight_decay: float | None
    milestones: Sequence[int] | None
    warmup_share: float | None
    ema_decay: float | None
    initial_scale: float | None
    muon_lr: float | None
    flip_average: bool | None
    train_dtype: Literal["float32", "bfloat16"] | None
    devices: int
    sync_batch_norm: bool
    threads: int


class DataKeywords(TypedDict, total=False):
    """Which images a network is trained, validated and tested on."""

    dataset: str | None
    image_size: int | None
    limit_train: int | None
    limit_val: int | None
    limit_test: int | None
    validation_share: float | None
    images: Literal["auto", "resident", "stream"]


class SeededKeywords(TypedDict, total=False):
    """What everything random follows from."""

    seed: int


class RunKeywords(TypedDict, total=False):
    """Where trials run and what becomes of them; no result depends on it."""

    data_dir: str | Path | None
    device: str
    output: str | Path
    experiment_name: str
    notes: str
    plugins: Sequence[str]
    on_oom: Literal["fail", "halve"]
    latency: bool
    strict: bool


class SweepingKeywords(TypedDict, total=False):
    """How a sweep's trials are run side by side; no number depends on it."""

    workers: int | None
    executor: str
    address: str | None
    gpus_per_trial: float | None
    slurm: Sequence[str]
    timeout: float | None


class BenchmarkingKeywords(TypedDict, total=False):
    """How networks are timed, all of them alike."""

    batch_sizes: Sequence[int]
    device: str
    dtypes: Sequence[str]
    memory_format: str
    threads: int | None
    runtimes: Sequence[str]
    stage: bool
    warmup_runs: int | None
    benchmark_runs: int | None
    seconds: float | None
    energy: bool
    strict: bool
