"""Settings: each is one field of one frozen dataclass, with its default, its sentence, its unit and its range.

Whatever else knows a setting reads it here: the command line (`cli/expanded.py`), the keyword arguments of the Python functions
(`core/keywords.py`, written by `scripts/settings.py`), sweep files, fingerprints, the columns of the results table, the page
docs/settings.md, and the check of its value. Adding one is adding a field, and using it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from blockzoo.core.budget import Track
from blockzoo.core.checked import (
    BatchSize,
    Checked,
    Count,
    Finite,
    Part,
    Positive,
    Seed,
    Share,
    Threads,
    narrowed,
    setting,
)
from blockzoo.core.contracts import DEFAULT_FILLER


@dataclass(frozen=True, kw_only=True)
class Scaffold(Checked):
    """The network around a block under test: three stages, one of which holds the block."""

    num_blocks: Count = setting(
        3, "blocks in each of the three stages", column="blocks in each stage", always=True
    )
    base_channels: Count = setting(
        64,
        "width of the first stage; it doubles with each stage",
        unit="channels",
        column="width of the first stage",
        always=True,
    )
    filler: str | None = setting(
        None,
        "what the other stages hold: a block's name, or 'identity' (default ResNetBasicBlock)",
        column="what the stages without the block under test hold",
        always=True,
    )
    transition: Literal["own", "shared"] = setting(
        "own",
        "where the shape changes: a block's own way, or the same transition in front of every block, which then keeps its shape",
        column="what changes the shape between stages: the blocks, or one transition in front of each",
    )
    active_blocks: Count | None = setting(
        None,
        "depth of the stage under test (default: that of the others)",
        unit="blocks",
        column="depth of the stage under test",
        always=True,
    )
    active_width: Positive = setting(
        1.0,
        "width of the stage under test, as a multiple of its usual width",
        column="width of the stage under test as a multiple of its usual width",
        always=True,
    )


@dataclass(frozen=True, kw_only=True)
class Budgeting(Checked):
    """What the stage under test may cost; its width, then its depth, are chosen for it."""

    track: Track = setting(
        "native",
        "the cost of the stage under test that all blocks share; native: their width and depth instead",
    )
    budgets: tuple[Finite, ...] = setting(
        (1.0,), "how much of it, as multiples of what the reference costs there"
    )
    against: str = setting(
        DEFAULT_FILLER, "the reference: a block, or a number of parameters, MACs or milliseconds"
    )


@dataclass(frozen=True, kw_only=True)
class Designing(Checked):
    """Which trainings a comparison is made of."""

    design: Literal["isolated", "crossed", "halving"] = setting(
        "isolated",
        "isolated: each block among equal fillers; crossed: networks with a block in every stage; halving: isolated, and the "
        "worse half goes after each seed",
    )
    replicates: Count = setting(5, "crossed: trainings of each block at each position")
    repeats: Annotated[int, Ge(0)] = setting(
        1,
        "crossed: times that the networks of the first replicate are trained again, which tells noise from interaction",
    )
    follow: Annotated[int, Ge(0)] = setting(
        0, "crossed: then train so many networks that are predicted to be best, and as many at random"
    )
    survivors: Count = setting(
        5, "halving: blocks at each position that are trained with fresh seeds in the end"
    )
    precision: Positive | None = setting(
        None,
        "isolated: add seeds where a verdict is open, until intervals of differences are at most so wide to either side",
        unit="points",
    )
    hours: Positive | None = setting(
        None,
        "with precision: begin no further seeds that would not be done so long after the start",
        unit="h",
    )
    learning_rates: tuple[Positive, ...] = setting(
        (),
        "isolated and halving: choose each block's learning rate among these, and up to two beyond an end where the best lies, "
        "by validation accuracy, in trainings with a seed of their own at one position (mid if it is there); --lr is for all",
    )


@dataclass(frozen=True, kw_only=True)
class Recipe(Checked):
    """How a network is trained. What is None is the protocol's."""

    protocol: str = setting(
        "fast-v1",
        "the training recipe, name and version",
        column="the training recipe, name and version",
        always=True,
    )
    epochs: Count | None = setting(
        None,
        "passes over the training images; the schedule has this length (default: the protocol's)",
        column="passes over the training images; the schedule has this length",
        always=True,
    )
    batch_size: BatchSize | None = setting(
        None,
        "images per training step (default: the protocol's)",
        unit="images",
        names=("-b",),
        column="images per training step",
        always=True,
    )
    lr: Positive | None = setting(
        None,
        "peak learning rate (default: the protocol's)",
        names=("--learning-rate", "--step-size"),
        column="peak learning rate",
        always=True,
    )
    momentum: Annotated[float, Ge(0), Lt(1)] | None = setting(None, "of SGD (default: the protocol's)")
    weight_decay: Annotated[float, Ge(0)] | None = setting(None, "of all weights (default: the protocol's)")
    milestones: tuple[Count, ...] | None = setting(
        None, "epochs after which a step schedule lowers the learning rate (default: the protocol's)"
    )
    warmup_share: Share | None = setting(
        None,
        "share of all steps in which the learning rate of a one-cycle schedule rises (default: the protocol's)",
        column="share of all steps in which the learning rate rises; empty: the protocol's",
    )
    ema_decay: Share | None = setting(
        None,
        "validate and test an exponential moving average of the weights, which keeps so much of itself in each step, with "
        "batch norm statistics taken anew (default: the protocol's)",
        column="how much the average of the weights that is tested keeps of itself in each step; empty: the protocol's",
    )
    initial_scale: Part | None = setting(
        None,
        "side of the training images in the first epoch, as a share of their own; it grows in equal steps and is 1 in the last "
        "fifth of the epochs (default: the protocol's)",
        column="side of the training images in the first epoch, as a share of their own; empty: the protocol's",
    )
    muon_lr: Positive | None = setting(
        None,
        "train the hidden layers' weights by Muon with this peak learning rate, such as 0.02, and all others by SGD with lr "
        "(default: the protocol's)",
        column="peak learning rate of Muon, by which hidden layers were trained; empty: the protocol's",
    )
    flip_average: bool | None = setting(
        None,
        "validate and test with the mean of the logits of an image and of its mirror image (default: the protocol's)",
        column="validated and tested with the mean of the logits of an image and its mirror image; empty: the protocol's",
    )
    train_dtype: Literal["float32", "bfloat16"] | None = setting(
        None,
        "dtype of training, bfloat16 by autocast; name it where one table is made on several machines (default: the "
        "protocol's, which may be what the processor does fast)",
    )
    devices: Count = setting(
        1,
        "devices that train it together: GPUs, or processes on the processor; the batch size is that of all",
        column="how many trained it together, each on its part of every batch; norms take their statistics by parts",
    )
    sync_batch_norm: bool = setting(
        False, "with several devices: batch norms take their statistics over all of them"
    )
    threads: Threads = setting(
        1,
        "processor threads of each device's process; part of the request, as sums over several are other sums",
    )


@dataclass(frozen=True, kw_only=True)
class Data(Checked):
    """Which images a network is trained, validated and tested on."""

    dataset: str | None = setting(
        None,
        "a dataset of `blockzoo datasets` (default cifar10, or digits where it cannot be had)",
        column="the dataset that was really used",
        always=True,
    )
    image_size: Count | None = setting(
        None,
        "side length that images are resized to (default: their own)",
        unit="pixels",
        column="side length of the images in pixels",
        always=True,
    )
    limit_train: Count | None = setting(
        None,
        "train on only so many images, a draw in which every class has its share (default: all)",
        unit="images",
        column="training images used, where fewer than the split has: a stratified draw, see `split`",
        always=True,
    )
    limit_val: Count | None = setting(None, "so many validation images (default: all)", unit="images")
    limit_test: Count | None = setting(None, "so many test images (default: all)", unit="images")
    validation_share: Share | None = setting(
        None, "share of training and validation images that validates (default: the dataset's own split)"
    )
    images: Literal["auto", "resident", "stream"] = setting(
        "auto",
        "decoded once and kept at one size (resident), or read from their files in each epoch (stream); auto: by size",
        column="resident: decoded once, at one size; stream: read from their files in each epoch, crops of the original",
    )


@dataclass(frozen=True, kw_only=True)
class Seeded(Checked):
    """What everything random follows from."""

    seed: Seed = setting(
        0,
        "drives initialisation, order and augmentation",
        column="drives initialisation, order and augmentation; equal seeds pair trials of different blocks",
        always=True,
    )


@dataclass(frozen=True, kw_only=True)
class Run(Checked):
    """Where trials run and what becomes of them; no result depends on it."""

    data_dir: Path | None = setting(None, "folder with the datasets (default: BLOCKZOO_DATA, then ./data)")
    device: str = setting("auto", "cpu, cuda or auto")
    output: Path = setting(
        Path("results"), "results folder, or the path of the CSV", names=("--out-dir", "-o")
    )
    experiment_name: str = setting("", "a name for the rows", names=("--name", "-n"))
    notes: str = setting("", "a remark for the rows")
    plugins: tuple[str, ...] = setting(
        (),
        "a .py file or module of your own: blocks, datasets, protocols, ... (may be repeated)",
        names=("--plugin",),
        repeated=True,
    )
    on_oom: Literal["fail", "halve"] = setting(
        "fail", "when a batch does not fit: say which does, or take it in parts, whose gradients are added up"
    )
    latency: bool = setting(True, "time the networks afterwards")
    strict: bool = setting(
        False, "refuse where something could not be counted or timed, instead of saying so"
    )


@dataclass(frozen=True, kw_only=True)
class Sweeping(Checked):
    """How a sweep's trials are run side by side; no number depends on it."""

    workers: Count | None = setting(
        None, "trials at a time (default: one per GPU, else per core)", names=("-j",)
    )
    executor: str = setting("local", "where the trials run: local, ray or slurm")
    address: str | None = setting(None, "of the Ray cluster (default: RAY_ADDRESS, else one is started here)")
    gpus_per_trial: Annotated[float, Ge(0)] | None = setting(
        None, "GPUs that each trial asks Ray for; a fraction shares one"
    )
    slurm: tuple[str, ...] = setting((), "options of SLURM, as in partition=gpu time=60")
    timeout: Positive | None = setting(
        None,
        "seconds that an attempt at a trial may take; the next one goes on from there (default: any)",
        unit="s",
    )


@dataclass(frozen=True, kw_only=True)
class Benchmarking(Checked):
    """How networks are timed, all of them alike."""

    batch_sizes: tuple[Count, ...] = setting((1, 256), "images per call", unit="images")
    device: str = narrowed(Run, "device", "auto")
    dtypes: tuple[str, ...] = setting(
        ("fp32",), "fp32, bf16 or both, which weights and inputs are converted to", names=("--dtype",)
    )
    memory_format: str = setting("contiguous", "contiguous or channels_last")
    threads: Count | None = setting(None, "processor threads (default: torch's own number)")
    runtimes: tuple[str, ...] = setting(
        ("eager",),
        "what runs the networks: eager, compile, onnxruntime, openvino; several are timed in turns",
        names=("--runtime",),
    )
    stage: bool = setting(True, "time the stage under test alone, too")
    warmup_runs: Annotated[int, Ge(0)] | None = setting(None, "calls thrown away (default: until stable)")
    benchmark_runs: Count | None = setting(
        None, "samples per network (default: as many as fit in the seconds, at most 200)"
    )
    seconds: Positive | None = setting(
        None,
        "for the whole command, once PyTorch is loaded (default 30; with benchmark runs as long as they take)",
        unit="s",
    )
    energy: bool = setting(
        False, "joules per image too, where counters of the processor (RAPL) or the GPU (NVML) can be read"
    )
    strict: bool = narrowed(Run, "strict", False)


TABLES: tuple[type[Checked], ...] = (
    Scaffold,
    Budgeting,
    Designing,
    Recipe,
    Data,
    Seeded,
    Run,
    Sweeping,
    Benchmarking,
)
"""All of them, in the order in which they are shown."""
OF_SWEEPS: tuple[type[Checked], ...] = (Scaffold, Budgeting, Designing, Recipe, Data, Run, Sweeping)
"""Those of a sweep."""
