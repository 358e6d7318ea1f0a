"""What additions to `fast-v1` do to the CPU seconds that a conclusion costs: averaged weights, smaller images, Muon, ...

    python benchmarks/protocols.py [--candidates ema flip ema+flip] [--blocks ...] [--seeds 4] [--epochs 3] [--limit-train 2000]

Each candidate trains the same blocks with the same seeds at one position, in a sweep that goes on where it was: this can run in
parts. A difference between blocks that is d times the spread of their worths needs seeds in proportion to (s / (d W))^2: s is the
standard deviation of what block and seed leave (paired), W the standard deviation of the blocks' worths, the noise taken off. So

    cost = CPU seconds of a training * s^2 / W^2

is what equal power costs, and a candidate is worth having where its cost is below that of `fast-v1`. The interval of a ratio is
from draws of both tables (s^2 of its chi-squared distribution, means of theirs), as if they were independent: equal seeds can
only make it too wide. Seconds have none. CPU seconds are those of whole trainings in this process, in turns, `fast-v1` twice.
Kendall's tau is that of the blocks' means with those of `published-v1` (`--published-seeds`, 50 epochs each). It needs CIFAR-10
(BLOCKZOO_DATA), or another dataset.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # or profile.py beside this file is Python's

import numpy as np
from scipy.stats import f, norm

from blockzoo.core.environment import describe, environment
from blockzoo.report.additive import tables_of
from blockzoo.report.pairs import kendall_taus
from blockzoo.trials.sweep import run_sweep

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.core.spec import TrialSpec
    from blockzoo.data import ImageData

BASE = "fast-v1"
CANDIDATES: dict[str, dict[str, Any]] = {
    "ema": {"ema_decay": 0.95},
    "progressive": {"initial_scale": 0.5},
    "muon": {"muon_lr": 0.02},
    "flip": {"flip_average": True},
    "warmup": {"warmup_share": 0.1},
}
OF_THE_TEST = ("ema", "flip")
"""Candidates that change only what is tested, not what is trained: one training serves them and `fast-v1`."""
BLOCKS = (
    "ResNetBasicBlock", "InvertedResidual", "RepVGGBlock", "FasterNetBlock", "ConvNeXtBlock", "EdgeResidual",
)  # fmt: skip
LEVEL, POWER, DRAWS = 0.05, 0.8, 4000


@dataclass(frozen=True)
class Spread:
    """What a table of blocks and seeds says: accuracies as block + seed + what is left.

    Args:
        means: (blocks,) of each block over its seeds.
        variance: of what is left, one training.
        degrees: its degrees of freedom.
        seeds: of each block.
    """

    means: Float[np.ndarray, " blocks"]
    variance: float
    degrees: int
    seeds: int

    @property
    def worths(self) -> float:
        """Variance of the blocks' true means; 0 where the noise explains all of it."""
        return max(0.0, float(np.var(self.means, ddof=1)) - self.variance / self.seeds)

    def draws(self, chance: np.random.Generator) -> Float[np.ndarray, " draws"]:
        """variance / worths of tables that could be the truth behind this one; infinite where no worths are left."""
        variance = self.variance * self.degrees / chance.chisquare(self.degrees, DRAWS)
        noise = chance.normal(size=(DRAWS, len(self.means))) * np.sqrt(variance / self.seeds)[:, None]
        # the means have the noise of the table already, and that of the draw is added to it
        worths = np.var(self.means + noise, axis=1, ddof=1) - 2 * variance / self.seeds
        return np.divide(variance, worths, out=np.full(DRAWS, math.inf), where=worths > 0)


def spread_of(values: Float[np.ndarray, "blocks seeds"]) -> Spread:
    """From accuracies, a row for each block and a column for each seed."""
    left = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    degrees = (values.shape[0] - 1) * (values.shape[1] - 1)
    return Spread(values.mean(1), float((left**2).sum() / degrees), degrees, values.shape[1])


def cost_ratio(of: Spread, base: Spread, seconds: float, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """What equal power costs, as a multiple of what it costs with `base`, and its 95 % interval.

    Args:
        of: the table of a candidate.
        base: that of `fast-v1`.
        seconds: of a training, as a multiple of those of `base`.
        seed: of the draws.
    """
    chance = np.random.default_rng(seed)
    ours, theirs = of.draws(chance), base.draws(chance)
    with np.errstate(invalid="ignore"):
        ratios = seconds * ours / theirs
    unknown = np.isnan(ratios)  # neither table has worths
    ratios[unknown] = np.where(np.arange(int(unknown.sum())) % 2 == 0, 0.0, math.inf)
    low, high = np.quantile(ratios, [LEVEL / 2, 1 - LEVEL / 2], method="nearest")
    plain = [s.variance / s.worths if s.worths else math.inf for s in (of, base)]
    return seconds * plain[0] / plain[1] if math.isfinite(plain[1]) else math.nan, (float(low), float(high))


def variance_ratio(of: Spread, base: Spread, seconds: float) -> tuple[float, tuple[float, float]]:
    """Variance of a training times its seconds, as a multiple of that of `base`, and its 95 % interval by quantiles of F.

    Args:
        of: the table of a candidate.
        base: that of `fast-v1`.
        seconds: of a training, as a multiple of those of `base`.
    """
    ratio = seconds * of.variance / base.variance
    low, high = (f.ppf([LEVEL / 2, 1 - LEVEL / 2], of.degrees, base.degrees)).tolist()
    return ratio, (ratio / high, ratio / low)


def settings_of(candidate: str) -> dict[str, Any]:
    """Of `fast-v1`, one of `CANDIDATES`, or several joined by +.

    >>> settings_of("ema+flip")
    {'ema_decay': 0.95, 'flip_average': True}
    """
    names = [name for name in candidate.split("+") if name != BASE]
    if unknown := [name for name in names if name not in CANDIDATES]:
        raise SystemExit(
            f"no candidate {unknown[0]!r}: choose of {', '.join(CANDIDATES)}, or several joined by +"
        )
    return {key: value for name in names for key, value in CANDIDATES[name].items()}


def table_of(
    options: argparse.Namespace, name: str, seeds: int, **recipe: Any
) -> Float[np.ndarray, "blocks seeds"]:
    """Test accuracies of a sweep, which trains what is missing."""
    done = run_sweep(
        options.blocks, options.position, list(range(options.first_seed, options.first_seed + seeds)),
        dataset=options.dataset, limit_train=options.limit_train, limit_val=options.limit_val,
        limit_test=options.limit_test, base_channels=options.base_channels, num_blocks=1, train_dtype="float32",
        latency=False, workers=options.workers, output=options.output / name, **recipe,
    )  # fmt: skip
    ((_, table),) = tables_of(done.rows, "test_acc").items()
    values = {block: [of[seed] for seed in sorted(of)] for (block, _), of in table.items()}
    if missing := [block for block in options.blocks if len(values.get(block, [])) != seeds]:
        raise SystemExit(f"{name}: {', '.join(missing)} lack trainings; see {options.output / name}")
    return np.array([values[block] for block in options.blocks])


def spec_of(options: argparse.Namespace, data: ImageData, block: str, **recipe: Any) -> TrialSpec:
    """A training in this process."""
    from blockzoo.core.spec import NetworkSpec, TrialSpec

    network = NetworkSpec(
        f"{block}/{options.position}", data.num_classes, data.shape[0], num_blocks=1,
        base_channels=options.base_channels,
    )  # fmt: skip
    return TrialSpec(
        network=network, dataset=data.name, limit_train=options.limit_train, limit_val=options.limit_val,
        limit_test=options.limit_test, train_dtype="float32", **recipe,
    )  # fmt: skip


def tables_together(
    options: argparse.Namespace, names: list[str], base: dict[str, Any]
) -> dict[str, Float[np.ndarray, "blocks seeds"]]:
    """Test accuracies of `fast-v1`, of its averaged weights, and with mirror images, from one training of each block and seed.

    Averaging changes no step, so the weights that were averaged over are those of `fast-v1` bit for bit. What has been trained is
    not trained again.
    """
    from blockzoo.data import load_dataset

    data = load_dataset(options.dataset)
    folder = options.output / "together"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    values: dict[str, list[list[float]]] = {name: [] for name in names}
    for block in options.blocks:
        specs = [spec_of(options, data, block, seed=seed, **base, **CANDIDATES["ema"]) for seed in seeds]
        of_block = [tested_ways(spec, data, folder / spec.fingerprint()) for spec in specs]
        for name in names:
            way = "+".join(sorted(set(name.split("+")) - {BASE})) or BASE
            values[name].append([of_seed[way] for of_seed in of_block])
    return {name: np.array(rows) for name, rows in values.items()}


def tested_ways(spec: TrialSpec, data: ImageData, place: Path) -> dict[str, float]:
    """Test accuracies of a training with averaged weights: of these and of the last ones, each with mirror images and without.

    Args:
        spec: with `ema_decay`.
        data: without mirror images where they are of other classes.
        place: where the outcome is kept, with .json at the end, and the training's checkpoint beside it.
    """
    import torch

    from blockzoo.core.files import write_text
    from blockzoo.training.trial import evaluate_trial, run_trial

    outcome, checkpoint = (place.with_suffix(end) for end in (".json", ".ckpt"))
    if not outcome.is_file():
        trained = run_trial(spec, data, checkpoint=checkpoint, read_test=False)
        if trained.status != "ok":
            raise SystemExit(f"{spec.subject}, seed {spec.seed}: {trained.reason}")
        saved, weights = torch.load(checkpoint, weights_only=True), place.with_suffix(".pth")
        values = {}
        for ways, held in (((BASE, "flip"), "trained"), (("ema", "ema+flip"), "state_dict")):
            torch.save({"state_dict": saved[held]}, weights)
            start = spec.with_(ema_decay=None, start=str(weights), start_identity=held)
            for way in ways[: 2 if data.flip else 1]:
                flip = {"flip_average": True} if "flip" in way else {}
                record = evaluate_trial(start.with_(**flip), data, split="test")
                values[way] = record.values["test_acc"]
        write_text(outcome, json.dumps(values))
        weights.unlink()
        checkpoint.unlink()
    return dict(json.loads(outcome.read_text()))


def seconds_of(options: argparse.Namespace, names: list[str], base: dict[str, Any]) -> dict[str, list[float]]:
    """CPU seconds of whole trainings, the mean over the timed blocks, of each round; `A/A` is `fast-v1` again."""
    import torch

    from blockzoo.data import load_dataset
    from blockzoo.training.trial import run_trial

    torch.set_num_threads(1)
    data = load_dataset(options.dataset)
    chance, seconds = np.random.default_rng(0), defaultdict(list)
    for round_ in range(-1, options.rounds):  # the first one warms up: a training of two blocks, not counted
        ways = [BASE] if round_ < 0 else [*names, "A/A"]
        of_round: dict[str, list[float]] = defaultdict(list)
        for block in options.blocks[: options.timed_blocks]:
            for name in chance.permutation(ways):
                recipe = {} if name == "A/A" else settings_of(str(name))
                spec = spec_of(options, data, block, **base, **recipe)
                began = time.process_time()
                run_trial(spec, data)
                of_round[str(name)].append(time.process_time() - began)
        for name, values in of_round.items() if round_ >= 0 else ():
            seconds[name].append(float(np.mean(values)))
    return seconds


def shown(ratio: float, interval: tuple[float, float]) -> str:
    """A ratio and its interval, as a cell."""
    return f"{ratio:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def main() -> None:
    """Train what is missing, time, and print a line for each candidate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", nargs="*", default=[*CANDIDATES, "ema+progressive+flip"])
    parser.add_argument("--blocks", nargs="+", default=list(BLOCKS))
    parser.add_argument("--position", default="mid")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--published-seeds", type=int, default=0)
    parser.add_argument("--published-epochs", type=int, default=50)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--limit-train", type=int, default=2000)
    parser.add_argument("--limit-val", type=int, default=500)
    parser.add_argument("--limit-test", type=int, default=2000)
    parser.add_argument("--base-channels", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--timed-blocks", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("results/protocols"))
    options = parser.parse_args()
    if options.seeds < 2 or len(options.blocks) < 2:
        raise SystemExit("give two blocks and two seeds, or more: of fewer nothing is left of a table")
    base = {"epochs": options.epochs, "batch_size": options.batch_size, "lr": options.lr}
    names = list(dict.fromkeys([BASE, *options.candidates]))
    recipes = {name: settings_of(name) for name in names}
    alike = [name for name in names if set(name.split("+")) <= {BASE, *OF_THE_TEST}]
    tables = tables_together(options, alike, base) if len(alike) > 1 else {}
    for name in names:
        if name not in tables:
            tables[name] = table_of(options, name, options.seeds, **base, **recipes[name])
    published = None
    if options.published_seeds:
        published = table_of(
            options, "published-v1", options.published_seeds, protocol="published-v1", epochs=options.published_epochs
        )  # fmt: skip
    seconds = seconds_of(options, names, base)
    print(describe(environment(device="cpu", threads=1)))
    print(
        f"{len(options.blocks)} blocks at {options.position}, width {options.base_channels}, {options.seeds} seeds, "
        f"{options.limit_train:,} images of {options.dataset}, {options.epochs} epochs, batch {options.batch_size}, "
        f"lr {options.lr:g}, {options.limit_test:,} test images; CPU seconds: {options.timed_blocks} blocks, median of "
        f"{options.rounds} rounds, A/A {np.median(seconds['A/A']) / np.median(seconds[BASE]):.2f}"
    )
    spreads = {name: spread_of(tables[name]) for name in names}
    print(
        f"{'':22} {'mean, %':>8} {'CPU s':>6} {'paired':>7} {'worths':>7} {'CPU s for W':>11} "
        f"{'variance x seconds':>24} {'the same by worths':>24} {'tau':>6}"
    )
    for name, spread in spreads.items():
        of_one = float(np.median(seconds[name]))
        faster = of_one / float(np.median(seconds[BASE]))
        ratios = [shown(*of(spread, spreads[BASE], faster)) for of in (variance_ratio, cost_ratio)]
        needed = 2 * (norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) ** 2 * spread.variance
        cost = 2 * of_one * needed / spread.worths if spread.worths else math.inf
        tau = (
            ""
            if published is None
            else f"{kendall_taus(spread.means[None], published.mean(1)[None])[0]:6.2f}"
        )
        print(
            f"{name:22} {100 * spread.means.mean():8.2f} {of_one:6.2f} {100 * math.sqrt(spread.variance):7.2f} "
            f"{100 * math.sqrt(spread.worths):7.2f} {cost:11.1f} "
            + (f"{1:24.2f} {1:24.2f}" if name == BASE else f"{ratios[0]:>24} {ratios[1]:>24}")
            + f" {tau}"
        )
    print(
        "points of accuracy; paired: what block and seed leave of one training; worths: spread of the blocks' true means; CPU s "
        "for W: of two blocks, until a difference as large as that spread is told from none (95 %, power 0.8); the other two: "
        f"as multiples of those of {BASE}, with 95 % intervals, the second over the variance of the worths"
    )
    if published is not None:
        print(
            f"tau: with published-v1, {options.published_epochs} epochs, {options.published_seeds} seeds, mean "
            f"{100 * published.mean():.2f} %, of {len(options.blocks)} blocks"
        )


if __name__ == "__main__":
    main()
