"""Block-wise rounds on a clock: gauss-seidel with kept activations against the naive way, and stacked workers against one by one.

    python benchmarks/blockwise.py [--rounds 5]

The naive way holds a copy of the network for every block and the centre, runs the whole network forward and backward for each
local step, and computes all gradients though it uses one block's. Both ways make the same updates (checked), in interleaved
rounds. Memory is that of living tensors, counted storage by storage as operators run: what is there beyond the examples.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.run.data import Examples, Stream
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.core.environment import environment
from blockzoo.measure.memory import LiveMemory
from blockzoo.models.feedforward import ConvNet, FeedForward

K, BATCH, STEP = 10, 64, 0.01


class Naive:
    """Gauss-Seidel with whole copies and whole gradients, as a first version would do it."""

    def __init__(self, model: nn.Module, examples: Examples) -> None:
        self.centre = copy.deepcopy(model)
        self.workers = [copy.deepcopy(model) for _ in model.blocks]  # type: ignore[arg-type, union-attr]
        self.stream = Stream(examples, BATCH, 0, -1)

    def round(self) -> None:
        batches = [next(self.stream) for _ in range(K)]
        for number, worker in enumerate(self.workers):
            worker.load_state_dict(self.centre.state_dict())
            worker.train()
            block = list(worker.blocks[number].parameters())  # type: ignore[index, union-attr]
            optimizer = torch.optim.SGD(block, STEP)
            for x, y in batches:
                worker.zero_grad()
                nn.functional.cross_entropy(worker(x), y).backward()
                optimizer.step()
            self.centre.load_state_dict(worker.state_dict())


def gauss_seidel(rounds: int) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    examples = Examples(
        torch.randn(2048, 3, 32, 32, generator=generator), torch.randint(10, (2048,), generator=generator)
    )
    model = ConvNet(3, [32, 32, 32, 64, 64, 64, 96, 96, 96], 10, 32, normalise=False)
    naive = Naive(model, examples)
    options = Options(training_mode="gauss-seidel", k=K, step_size=STEP, batch_size=BATCH)
    frame = Frame(model, examples, examples, nn.functional.cross_entropy, options)
    engine = ENGINES["gauss-seidel"]()
    memory = {}
    for name, turn in (("naive", naive.round), ("kept", lambda: engine.run(frame))):
        with LiveMemory() as living:
            turn()
        memory[name] = living.peak
    frame.round += 1
    times: dict[str, list[float]] = {"naive": [], "kept": []}
    for _ in range(rounds):
        for name, turn in (("naive", naive.round), ("kept", lambda: engine.run(frame))):
            begin = time.perf_counter()
            turn()
            times[name].append(time.perf_counter() - begin)
        frame.round += 1
    for a, b in zip(naive.centre.parameters(), frame.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    held = (len(naive.workers) + 1) * size
    block = max(sum(p.numel() * p.element_size() for p in state.parameters) for state in frame.blocks)
    ours, theirs = (statistics.median(times[n]) for n in ("kept", "naive"))
    print(f"gauss-seidel, 10-block CNN ({size / 4e6:.2f} M parameters), batch {BATCH}, K {K}:")
    print(
        f"  seconds a round    naive {theirs:7.3f}   kept {ours:7.3f}   ratio {ours / theirs:.2f}   target 0.65"
    )
    print(
        f"  networks held      naive {held / 2**20:7.2f}   kept {(size + block) / 2**20:7.2f}   MiB of parameters"
        f"   ratio {(size + block) / held:.2f}"
    )
    print(
        f"  living at most     naive {(memory['naive'] + held) / 2**20:7.2f}   kept {(memory['kept'] + size) / 2**20:7.2f}"
        f"   MiB, with parameters, activations, gradients   ratio {(memory['kept'] + size) / (memory['naive'] + held):.2f}"
    )


def stacked(rounds: int) -> None:
    generator = torch.Generator().manual_seed(0)
    examples = Examples(
        torch.randn(2048, 64, generator=generator), torch.randint(10, (2048,), generator=generator)
    )
    print("jacobi, all workers at once against one after the other (SGD, K 10, batch 32):")
    for widths in ([16] * 7, [32] * 15, [128] * 7):
        frames = {}
        for name in ("one by one", "at once"):
            torch.manual_seed(0)
            options = Options(k=K, step_size=STEP, batch_size=32, vectorised=name == "at once")
            frames[name] = Frame(
                FeedForward(64, widths, 10), examples, examples, nn.functional.cross_entropy, options
            )
        engine, times = ENGINES["jacobi"](), {name: [] for name in frames}  # type: ignore[var-annotated]
        for turn in range(rounds + 1):
            for name, frame in frames.items():
                frame.round = turn
                begin = time.perf_counter()
                engine.run(frame)
                if turn:
                    times[name].append(time.perf_counter() - begin)
        slow, fast = (statistics.median(times[name]) for name in ("one by one", "at once"))
        size = sum(p.numel() for p in frames["at once"].model.parameters())
        print(
            f"  {len(widths) + 1:2} blocks of width {widths[0]:3} ({size:7,} parameters)   one by one {slow * 1e3:7.1f} ms"
            f"   at once {fast * 1e3:7.1f} ms   ratio {fast / slow:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    facts = environment()
    print(
        f"{facts['cpu']}, {facts['cores']} cores, torch {torch.__version__}, n = {rounds} interleaved rounds, medians\n"
    )
    gauss_seidel(rounds)
    stacked(rounds)


if __name__ == "__main__":
    main()
