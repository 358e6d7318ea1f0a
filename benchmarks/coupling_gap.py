"""Does coupling predict what jacobi loses against gauss-seidel? Networks of several depths, widths and kinds, two phases each.

    python benchmarks/coupling_gap.py [--seeds 3]

For each: its coupling map (128 training images); then 20 rounds (K 5, batch 64) of jacobi and of gauss-seidel from it
with the same learning rate. The predictor is the largest eigenvalue of sigma_ij / sqrt(sigma_ii sigma_jj) off the diagonal, the
gap the difference of validation losses. Printed: both for each case, and Spearman's correlation over all.
"""

from __future__ import annotations

import argparse
import copy
import sys
from itertools import product
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

from scipy.stats import spearmanr

from blockzoo.blockwise import coupling_map
from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options

CASES = [
    ("feedforward", (32,)),
    ("feedforward", (32, 32, 32)),
    ("feedforward", (64, 64, 64, 64, 64)),
    ("feedforward", (16,) * 8),
    ("cnn", (8, 16)),
    ("cnn", (8, 16, 16, 32)),
    ("cnn", (16, 16, 32, 32, 32, 32)),
    ("nn_ensemble", ((32, 32), (32, 32))),
]


def trained(frame: Frame, mode: str, rounds: int) -> Frame:
    engine = ENGINES[mode]()
    for number in range(rounds):
        frame.round = number
        engine.run(frame)
    return frame


def strength(frame: Frame) -> float:
    coupling = coupling_map(frame.model, frame.criterion, frame.probe(2, 64), frame.partition)
    own = np.sqrt(np.maximum(np.diag(coupling.sigma), 1e-12))
    relative = coupling.sigma / own[:, None] / own[None, :]
    np.fill_diagonal(relative, 0)
    return float(np.linalg.eigvalsh(relative)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    rows = []
    for (model, widths), phase in product(CASES, (5, 60)):
        strengths, gaps = [], []
        for seed in range(seeds):
            options = Options(k=5, step_size=0.1, batch_size=64, seed=seed)
            config = RunConfig(
                model, widths, dataset="cifar10", image_size=8, limit_train=4096, options=options
            )
            start = trained(Frame.from_config(config), "entire", phase)
            strengths.append(strength(start))
            ends = []
            for mode in ("jacobi", "gauss-seidel"):
                own = Frame(
                    copy.deepcopy(start.model), start.train, start.validation, start.criterion, options
                )
                ends.append(trained(own, mode, 20).evaluate()["loss"])
            gaps.append(ends[0] - ends[1])
        rows.append((np.mean(strengths), np.mean(gaps)))
        name = f"{model} {list(widths)}, {5 * phase} steps"
        print(
            f"{name:52} coupling {rows[-1][0]:7.3f}   gap {rows[-1][1]:8.4f}   sd {np.std(gaps, ddof=1):.4f}",
            flush=True,
        )
    rho = spearmanr(*zip(*rows, strict=True))
    print(f"Spearman {rho.statistic:.2f} (p {rho.pvalue:.3f}), n = {len(rows)} cases of {seeds} seeds")


if __name__ == "__main__":
    main()
