"""How long planning takes, for the sample of timm's networks that the tests convert: one of a family, and more.

    python benchmarks/planning.py [NAME ...] [--sides 64 224] [--modes exact] [--check]

For each network at each size: processor seconds of `tiling.plan` (tracing, merging and folding included), and tiles
of the plan; at the end how many plans there were and the slowest. Processor time of one thread, so that others on the machine do
not count. With --check a `TiledRunner` is made too, and what its check found is printed. Networks that do not run at a size are
named.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

import timm
import torch

from blockzoo import tiling
from blockzoo.core.environment import describe, environment
from blockzoo.core.errors import BlockzooError
from blockzoo.tiling.planning.stage import Mode

SAMPLE = Path(__file__).parents[1] / "tests" / "tiling" / "timm_models.txt"


def sample() -> list[str]:
    """Names of the networks."""
    families, more = SAMPLE.read_text().split("[families]")[1].split("[more]")
    return [*(line.split()[1] for line in families.splitlines() if line), *more.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: the sample")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--modes", nargs="+", choices=("exact", "block"), default=["exact"])
    parser.add_argument("--check", action="store_true", help="make a runner of each plan")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe(environment(device="cpu", threads=1)))
    spent: dict[str, float] = {}
    for name in options.names or sample():
        for side in options.sides:
            for mode in options.modes:
                key = f"{name} at {side}, {mode}"
                try:
                    spent[key] = planned(name, side, mode, options.check, key)
                except BlockzooError as error:
                    print(f"{key}: {str(error).splitlines()[0][:160]}", flush=True)
    if spent:
        slowest = max(spent, key=lambda key: spent[key])
        print(f"{len(spent)} plans; the slowest {slowest}: {spent[slowest]:.1f} s")


def planned(name: str, side: int, mode: Mode, check: bool, key: str) -> float:
    """Seconds; prints a line."""
    torch.manual_seed(0)
    model, x = timm.create_model(name).eval(), torch.randn(1, 3, side, side)
    begin = time.process_time()
    plan = tiling.plan(model, x, mode=mode)
    seconds = time.process_time() - begin
    said = f"{seconds:.1f} s, {plan.tiles} tiles"
    if check:
        said += f", checked {tiling.TiledRunner(model, plan).checked:.1e}"
    print(f"{key}: {said}", flush=True)
    return seconds


if __name__ == "__main__":
    main()
