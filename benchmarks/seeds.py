"""Do several seeds at once pay? k copies of a network in one process, as stacked tensors, against one copy after the other.

    python benchmarks/seeds.py [--blocks ResNetBasicBlock InvertedResidual] [--seeds 4] [--steps 6] [--rounds 3]

Ways, each in processes of its own with one thread, which take turns in shuffled rounds: `single` trains the seeds one after the
other as a sweep does (channels_last); `stacked` all of them in each step, by torch.func.stack_module_state and vmap, which makes
one grouped convolution of them; `two processes` are two of `single` beside each other, each with half of the seeds. Each seed has
its own images. Printed are wall and CPU seconds of a training image and seed as multiples of `single`, median and extremes over
the rounds; `A/A` is `single` again. Before it is timed, a stacked training is compared with single ones, batch norms in training:
losses, weights and running statistics after three steps in float64.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[0] = str(Path(__file__).resolve().parents[1])  # or profile.py beside this file is Python's

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from blockzoo.core.environment import describe, environment
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.layouts import laid_out
from blockzoo.models.outputs import main_output
from blockzoo.models.resolve import build_network
from blockzoo.training.hardware import keep_freed_memory, keep_narrow_strided_convolutions_whole

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SINGLE, STACKED, TWO, AGAIN = "single", "stacked", "two processes", "A/A"
ALLOWED = 1e-9
"""Largest difference of a stacked training from single ones in float64, relative to the largest value of each tensor."""


def optimizer_of(weights: Sequence[torch.Tensor]) -> torch.optim.SGD:
    """SGD as in `fast-v1`, at a fixed learning rate."""
    return torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)


def single(network: nn.Module) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A step of one network: images (B, 3, H, W) and labels (B,) to its loss."""
    optimizer = optimizer_of(list(network.train().parameters()))

    def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(main_output(network(images)).tensor, labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class Stacked:
    """k networks of one architecture as tensors with k in front; they start as those that are given.

    Args:
        networks: alike, in training mode afterwards.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        for network in networks:
            network.train()
        self.parameters, self.buffers = stack_module_state(list(networks))
        self._skeleton = copy.deepcopy(networks[0]).to("meta")
        self._optimizer = optimizer_of(list(self.parameters.values()))

    def step(
        self, images: Float[torch.Tensor, "k B 3 H W"], labels: Int[torch.Tensor, "k B"]
    ) -> Float[torch.Tensor, " k"]:
        """A step of each; their losses."""
        self._optimizer.zero_grad()
        losses = vmap(self._loss, randomness="different")(self.parameters, self.buffers, images, labels)
        losses.sum().backward()
        self._optimizer.step()
        return losses.detach()  # type: ignore[no-any-return]

    def _loss(
        self,
        parameters: dict[str, torch.Tensor],
        buffers: dict[str, torch.Tensor],
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        output = functional_call(self._skeleton, (parameters, buffers), (images,))
        return F.cross_entropy(main_output(output).tensor, labels, label_smoothing=0.1)


def networks_of(block: str, width: int, seeds: Sequence[int]) -> list[nn.Module]:
    """A network of each seed."""
    spec = NetworkSpec(f"{block}/mid", 10, 3, num_blocks=1, base_channels=width)
    return [build_network(spec, seed=seed) for seed in seeds]


def noise(k: int, batch: int, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (k, batch, 3, side, side) of noise and labels (k, batch): what is timed does not look at them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (k, batch), generator=generator)
    return torch.randn(k, batch, 3, side, side, generator=generator), labels


def difference(
    block: str, width: int, seeds: int, *, batch: int = 8, steps: int = 3, side: int = 16
) -> float:
    """The largest of a stacked training from single ones in float64: of losses, weights and statistics, each relative."""
    networks = [network.double() for network in networks_of(block, width, range(seeds))]
    stacked = Stacked([copy.deepcopy(network) for network in networks])
    singles = [single(network) for network in networks]
    images, labels = noise(seeds, batch, side)
    images, worst = images.double(), 0.0
    for _ in range(steps):
        together = stacked.step(images, labels)
        alone = torch.stack([step(x, y) for step, x, y in zip(singles, images, labels, strict=True)])
        worst = max(worst, float((together - alone).abs().max() / alone.abs().max()))
    made = {**stacked.parameters, **stacked.buffers}
    for name in networks[0].state_dict():
        alone = torch.stack([network.state_dict()[name] for network in networks]).double()
        scale = alone.abs().max().clamp_min(1e-12)
        worst = max(worst, float((made[name].detach().double() - alone).abs().max() / scale))
    return worst


def child(way: str, options: argparse.Namespace) -> None:
    """Warm up, wait for a line, train, and print seconds of an image and seed."""
    torch.set_num_threads(1)
    keep_freed_memory()
    seeds = options.seeds // 2 if way == TWO else options.seeds
    networks = networks_of(options.block, options.base_channels, range(seeds))
    images, labels = noise(seeds, options.batch_size)
    if way == STACKED:
        stacked = Stacked(networks)

        def step() -> None:
            stacked.step(images, labels)
    else:
        steps = [
            single(keep_narrow_strided_convolutions_whole(laid_out(network, torch.channels_last)))
            for network in networks
        ]
        of_seed = [x.contiguous(memory_format=torch.channels_last) for x in images]

        def step() -> None:
            for one, x, y in zip(steps, of_seed, labels, strict=True):
                one(x, y)

    step()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(options.steps):
            step()
        seen = options.steps * options.batch_size * seeds
        times = (time.perf_counter() - wall) / seen, (time.process_time() - cpu) / seen
        print(json.dumps(times), flush=True)


class Way:
    """The processes of one way, which wait until they are asked.

    Args:
        way: one of those above.
        block: whose networks they train.
    """

    def __init__(self, way: str, block: str) -> None:
        words = [
            sys.executable,
            __file__,
            *sys.argv[1:],
            "--child",
            SINGLE if way == AGAIN else way,
            "--block",
            block,
        ]
        self._processes = [
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2 if way == TWO else 1)
        ]
        for process in self._processes:
            if self._said(process) != "ready\n":
                raise SystemExit(f"{way} of {block} ended before it began")

    def times(self) -> Float[np.ndarray, 2]:
        """Wall and CPU seconds of an image and seed; of two processes the wall seconds are half of the slower's."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        times = np.array([json.loads(self._said(process)) for process in self._processes])
        return np.array([times[:, 0].max() / len(times), times[:, 1].mean()])

    def end(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate()

    @staticmethod
    def _said(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()


def main() -> None:
    """Compare, time in turns, and print a line for each block and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", nargs="+", default=["ResNetBasicBlock", "InvertedResidual"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--base-channels", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child")
    parser.add_argument("--block", default="")
    options = parser.parse_args()
    if options.child:
        child(options.child, options)
        return
    if options.seeds < 2 or options.seeds % 2:
        raise SystemExit(
            f"--seeds {options.seeds}: give an even number, half of them for each of two processes"
        )
    print(describe(environment(device="cpu", threads=1)))
    print(
        f"width {options.base_channels}, batch {options.batch_size}, {options.seeds} seeds, {options.steps} steps, "
        f"{options.rounds} rounds; multiples of {SINGLE}: median (least to most) of the rounds"
    )
    chance = np.random.default_rng(0)
    for block in options.blocks:
        off = difference(block, options.base_channels, options.seeds)
        if not off <= ALLOWED:
            raise SystemExit(f"{block}: a stacked training differs from single ones by {off:.1e}")
        ratios: dict[str, list[np.ndarray]] = defaultdict(list)
        ways = {way: Way(way, block) for way in (SINGLE, STACKED, TWO, AGAIN)}
        for _ in range(options.rounds):
            of_round = {str(way): ways[str(way)].times() for way in chance.permutation(list(ways))}
            for way in (STACKED, TWO, AGAIN):
                ratios[way].append(of_round[way] / of_round[SINGLE])
        for one in ways.values():
            one.end()
        print(f"{block}: stacked equals single within {off:.0e} after 3 steps in float64")
        for way, of_rounds in ratios.items():
            wall, cpu = np.array(of_rounds).T
            print(
                f"  {way:14} wall {np.median(wall):5.2f} ({wall.min():.2f} to {wall.max():.2f})   "
                f"CPU {np.median(cpu):5.2f} ({cpu.min():.2f} to {cpu.max():.2f})"
            )


if __name__ == "__main__":
    main()
