"""CPU seconds until a difference of one point between two blocks is resolved (95 %, power 0.8): the usual way against ours.

    python benchmarks/cost_of_a_conclusion.py [--output results/cost] [--limit-train 5000] [--base-channels 8] [--blocks ...]

The usual way is that of earlier tables: `published-v1` (Adam, 50 epochs), a DataLoader over PIL images, float32, other seeds for
each block, and a t test of the two cells alone. Ours is taken apart one step at a time, so that each factor is seen:

1. throughput: the same recipe from resident images, in channels_last;
2. protocol: `fast-v1` in a tenth of the epochs;
3. fillers: the other stages hold nothing (`--filler identity`);
4. pairing: the same seeds for both blocks, whose luck is taken out;
5. pooling: the spread is that of the whole table, not of the two cells;
6. stopping: no further seeds for a pair whose verdict stands (`--precision`), over the pairs of this table.

Spreads are measured by trainings (a sweep that goes on where it was), CPU seconds of an image in processes of their own,
in turns, nothing else running; validation is not counted. A point of a short training is not one of a long one: what one point
of the usual way becomes is the ratio of the standard deviations of the blocks' worths, the noise taken off both, and is printed.
It needs CIFAR-10 (BLOCKZOO_DATA).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # or profile.py beside this file is Python's

import numpy as np
from scipy.stats import nct, norm, t

from blockzoo.core.environment import describe, environment
from blockzoo.report.additive import fitted_to, tables_of
from blockzoo.trials.designs import SURE
from blockzoo.trials.sweep import run_sweep

LEVEL, POWER, POINT = 0.05, 0.8, 0.01
MOST = 10_000
BLOCKS = (
    "ResNetBasicBlock",
    "InvertedResidual",
    "RepVGGBlock",
    "FasterNetBlock",
    "ConvNeXtBlock",
    "EdgeResidual",
)
USUAL, FAST, ALONE = "usual", "fast-v1", "fast-v1, identity fillers"
RECIPES: dict[str, dict[str, Any]] = {
    USUAL: {"protocol": "published-v1", "epochs": 50, "batch_size": 256},
    FAST: {"protocol": "fast-v1", "epochs": 5, "batch_size": 128},
    ALONE: {"protocol": "fast-v1", "epochs": 5, "batch_size": 128, "filler": "identity"},
}


@dataclass(frozen=True)
class Spread:
    """What a table of one recipe says.

    Args:
        alone: standard deviation of a cell over its seeds, all cells pooled.
        paired: of what block and seed leave.
        worths: of the blocks, the noise taken off.
        blocks: how many.
        means: of each block.
    """

    alone: float
    paired: float
    worths: float
    blocks: int
    means: tuple[float, ...]


def spread_of(rows: list[dict[str, Any]]) -> Spread:
    """From the rows of a sweep over blocks and seeds at one position."""
    ((_, table),) = tables_of(rows, "test_acc").items()
    fitted = fitted_to(table)
    values = [list(of.values()) for of in table.values()]
    alone = math.sqrt(np.mean([np.var(of, ddof=1) for of in values]))
    assert fitted.deviation is not None, "seeds tell nothing apart"
    means = np.array([np.mean(of) for of in values])
    noise = fitted.deviation**2 / np.mean([len(of) for of in values])
    return Spread(
        float(alone),
        fitted.deviation,
        math.sqrt(max(0.0, np.var(means, ddof=1) - noise)),
        len(values),
        tuple(means),
    )


def seeds_for(point: float, deviation: float, degrees_of: Any) -> int:
    """Seeds of each block until a difference of a point is called one with the power that is wanted.

    Args:
        point: the true difference.
        deviation: of one training, as the difference's error has it: error = deviation * sqrt(2 / seeds).
        degrees_of: degrees of freedom of that deviation at so many seeds.
    """
    for n in range(2, MOST):
        degrees = degrees_of(n)
        shift = point / (deviation * math.sqrt(2 / n))
        limit = t.ppf(1 - LEVEL / 2, degrees)
        power = norm.sf(limit - shift) if degrees > 1000 else nct.sf(limit, degrees, shift)
        if power >= POWER:
            return n
    raise SystemExit(
        f"over {MOST} seeds: a difference of {point:.4f} is not to be seen at a spread of {deviation:.4f}"
    )


def seeds_with_stopping(spread: Spread, point: float, fixed: int, draws: int = 400) -> float:
    """Mean seeds of a pair of this table where they are added one by one and p < 0.001 ends it, at most `fixed`."""
    chance = np.random.default_rng(0)
    used = []
    for first in range(spread.blocks):
        for second in range(first):
            difference = spread.means[first] - spread.means[second]
            noise = chance.normal(0, spread.paired * math.sqrt(2), (draws, fixed))
            for one in np.cumsum(difference + noise, axis=1) / np.arange(1, fixed + 1):
                for n in range(2, fixed + 1):
                    error = spread.paired * math.sqrt(2 / n)
                    if 2 * t.sf(abs(one[n - 1]) / error, (n - 1) * (spread.blocks - 1)) < SURE:
                        break
                used.append(n if fixed > 1 else 1)
    return float(np.mean(used))


def child(way: str, options: argparse.Namespace) -> None:
    """CPU seconds of a training image, printed as JSON."""
    import time

    import torch

    from blockzoo.core.spec import NetworkSpec, TrialSpec
    from blockzoo.data import load_dataset
    from blockzoo.models.resolve import build_network
    from blockzoo.training.hardware import keep_freed_memory, made_ready, number_format
    from blockzoo.training.loaders import loaders
    from blockzoo.training.protocols import protocol_of

    torch.set_num_threads(1)
    recipe = RECIPES[FAST if way == FAST else ALONE if way == ALONE else USUAL]
    network = NetworkSpec(
        f"{options.block}/mid",
        10,
        3,
        num_blocks=1,
        base_channels=options.base_channels,
        filler=recipe.get("filler"),
    )
    spec = TrialSpec(
        network, protocol=recipe["protocol"], batch_size=recipe["batch_size"], limit_train=options.limit_train,
        limit_val=options.limit_val, train_dtype="float32",
    )  # fmt: skip
    data, place = load_dataset("cifar10"), torch.device("cpu")
    protocol = protocol_of(spec)
    net = build_network(network, seed=0)
    if way == USUAL:
        batches: Any = _usual_batches(data.train, recipe["batch_size"])
    else:
        keep_freed_memory()
        net = made_ready(net, protocol, place, number_format(protocol, place))
        batches = loaders(spec, data, place).train
    optimizer = torch.optim.Adam(net.parameters(), 1e-3) if protocol.optimizer == "adam" else torch.optim.SGD(
        net.parameters(), protocol.lr, momentum=0.9, nesterov=True)  # fmt: skip
    net.train()
    seen, began = 0, 0.0
    for step, (x, y) in enumerate(batches):
        if step == 2:
            began = time.process_time()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        seen += len(y) if step >= 2 else 0
        if step == options.steps + 1:
            break
    print(json.dumps({"seconds": (time.process_time() - began) / seen}))


def _usual_batches(images: Any, batch_size: int) -> Any:
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    pixels = images.pixels.transpose(0, 2, 3, 1) if images.pixels.shape[1] == 3 else images.pixels
    transform = transforms.Compose([
        transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize((0.5,) * 3, (0.25,) * 3),
    ])  # fmt: skip

    class Pictures(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(images.labels)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.fromarray(np.ascontiguousarray(pixels[index]))), int(images.labels[index])

    return DataLoader(Pictures(), batch_size, shuffle=True)


def seconds(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of a training image of each way: the median over rounds, the mean over the blocks of the table."""
    ways = (USUAL, "usual, resident", FAST, ALONE)
    of: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for block in options.blocks:
            for way in ways:
                words = [sys.executable, __file__, *sys.argv[1:], "--child", way, "--block", block]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                of[way, block].append(json.loads(done.stdout.splitlines()[-1])["seconds"])
    return {way: float(np.mean([np.median(of[way, block]) for block in options.blocks])) for way in ways}


def main() -> None:
    """Train what is missing, time, and print a line for each step from the usual way to ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/cost"))
    parser.add_argument("--limit-train", type=int, default=5000)
    parser.add_argument("--limit-val", type=int, default=1000)
    parser.add_argument("--base-channels", type=int, default=8)
    parser.add_argument("--blocks", nargs="+", default=list(BLOCKS))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--usual-seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--child")
    parser.add_argument("--block", default=BLOCKS[0])
    options = parser.parse_args()
    if options.child:
        child(options.child, options)
        return
    spreads = {}
    for name, recipe in RECIPES.items():
        done = run_sweep(
            options.blocks, "mid", options.usual_seeds if name == USUAL else options.seeds, dataset="cifar10",
            limit_train=options.limit_train, limit_val=options.limit_val, base_channels=options.base_channels, num_blocks=1,
            train_dtype="float32", latency=False, workers=options.workers, output=options.output / name.replace(", ", "_"),
            **recipe,
        )  # fmt: skip
        spreads[name] = spread_of(done.rows)
    of_image = seconds(options)
    images = {name: recipe["epochs"] * options.limit_train for name, recipe in RECIPES.items()}
    usual, fast, alone = spreads[USUAL], spreads[FAST], spreads[ALONE]
    points = {
        name: POINT * (spread.worths / usual.worths if usual.worths else 1.0)
        for name, spread in spreads.items()
    }

    def two(deviation: float, point: float) -> float:
        return seeds_for(point, deviation, lambda n: 2 * (n - 1))

    pooled = seeds_for(points[ALONE], alone.paired, lambda n: (n - 1) * (alone.blocks - 1))
    paired = seeds_for(points[ALONE], alone.paired, lambda n: n - 1)
    steps = [
        ("the usual way", of_image[USUAL] * images[USUAL], two(usual.alone, POINT)),
        ("throughput", of_image["usual, resident"] * images[USUAL], two(usual.alone, POINT)),
        ("protocol", of_image[FAST] * images[FAST], two(fast.alone, points[FAST])),
        ("fillers", of_image[ALONE] * images[ALONE], two(alone.alone, points[ALONE])),
        ("pairing", of_image[ALONE] * images[ALONE], paired),
        ("pooling", of_image[ALONE] * images[ALONE], pooled),
        ("stopping", of_image[ALONE] * images[ALONE], seeds_with_stopping(alone, points[ALONE], pooled)),
    ]
    print(describe(environment(device="cpu")))
    print(
        f"{len(options.blocks)} blocks at mid, width {options.base_channels}, {options.limit_train:,} CIFAR-10 images; seeds: "
        f"{options.usual_seeds} of the usual way, {options.seeds} of ours; CPU seconds: median of {options.rounds} rounds"
    )
    for name, spread in spreads.items():
        print(
            f"{name}: mean {100 * np.mean(spread.means):.2f} %, spread of a cell {100 * spread.alone:.2f}, paired "
            f"{100 * spread.paired:.2f}, worths {100 * spread.worths:.2f} points; one point of the usual way is "
            f"{100 * points[name]:.2f}"
        )
    before = first = steps[0][1] * 2 * steps[0][2]
    print(
        f"{'step':14} {'s a training':>12} {'seeds':>7} {'CPU s':>10} {'factor':>7} {'of the usual way':>17}"
    )
    for name, of_one, seeds in steps:
        cost = of_one * 2 * seeds
        print(
            f"{name:14} {of_one:12.1f} {seeds:7.1f} {cost:10.0f} {before / cost:7.2f} {f'1/{first / cost:.0f}':>17}"
        )
        before = cost


if __name__ == "__main__":
    main()
