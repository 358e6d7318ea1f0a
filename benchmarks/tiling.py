"""Tile by tile against the whole network: time and peak memory of ResNet-18, as ratios in one run.

    python benchmarks/tiling.py [--sides 224 512 1024 2048] [--compile] [--memory-only]

For each image size, batch 1, fp32: the plain network in eager mode (the baseline of all ratios); the same with batch norms
folded; with --compile also torch.compile; the network on tiles layer by layer (`block_convert`, the same tiles); and the tiled
runner, one stage from the stem to layer2 with `--grid` tiles along each axis, `--batch` of them at a time, then the rest.
Contenders take turns; the median of `--repeats` rounds is printed. Peak: live activations, the image not counted (on a GPU by its
allocator).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

import torch
import torchvision

from blockzoo import tiling
from blockzoo.core.environment import describe, environment
from blockzoo.models.deploy import fold_batch_norm

Run = Callable[[torch.Tensor], torch.Tensor]
GRIDS = {224: (4, 2), 512: (4, 2), 1024: (8, 4), 2048: (16, 4), 3072: (16, 2), 4096: (16, 2)}
"""Tiles along each axis, and how many run together, where the command does not say."""


def median_ms(runs: dict[str, Run], x: torch.Tensor, repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run(x)
            if x.is_cuda:
                torch.cuda.synchronize()
            if number:  # the first round warms up
                times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_bytes(run: Run, x: torch.Tensor) -> int:
    if not x.is_cuda:
        return tiling.peak_memory(run, x)
    run(x)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(x)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 512, 1024, 2048])
    parser.add_argument("--grid", type=int, help="tiles along each axis")
    parser.add_argument("--batch", type=int, help="tiles that run together")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--mode", choices=("block", "exact"), default="block")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile too: a C++ compiler and minutes"
    )
    parser.add_argument(
        "--memory-only", action="store_true", help="no timing: the largest images in little time"
    )
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(
        f"{describe(environment())}; fp32, batch 1, median of {options.repeats} rounds, {torch.get_num_threads()} threads"
    )
    print(f"{'side':>5} {'contender':22} {'grid':>7} {'ms':>9} {'x plain':>8} {'peak MiB':>9} {'x plain':>8}")
    for side in options.sides:
        grid, batch = GRIDS.get(side, (8, 1))
        grid, batch = options.grid or grid, options.batch or batch
        torch.manual_seed(0)
        model = torchvision.models.resnet18().eval().to(device)
        x = torch.randn(1, 3, side, side, device=device)
        plan = tiling.plan(model, x, grid=grid, fuse_to="layer2", mode=options.mode, batch=batch)
        runs: dict[str, Run] = {"plain": model, "plain, folded": fold_batch_norm(model, x)}
        if options.compile:
            runs["torch.compile, folded"] = torch.compile(fold_batch_norm(model, x))  # type: ignore[assignment]
        runs["blocked layer by layer"] = tiling.block_convert(model, x, grid, "hierarchical")[0]
        runs["tiled"] = tiling.TiledRunner(model, plan)
        times = {} if options.memory_only else median_ms(runs, x, options.repeats)
        peaks = {name: peak_bytes(run, x) for name, run in runs.items() if "compile" not in name}
        for name in runs:
            cut = f"{grid}x{grid}/{batch}" if name == "tiled" else ""
            ms, peak = times.get(name), peaks.get(name)
            shown = f"{ms:9.1f} {ms / times['plain']:8.2f}" if ms else f"{'-':>9} {'-':>8}"
            size = f"{peak / 2**20:9.2f} {peak / peaks['plain']:8.3f}" if peak else f"{'-':>9} {'-':>8}"
            print(f"{side:5} {name:22} {cut:>7} {shown} {size}", flush=True)


if __name__ == "__main__":
    main()
