"""Gauss-Seidel: one block after the other, each from the newest centre.

Where the network is a chain of blocks and its partition is these, a step is cheap: the activations before the active block are
kept from step to step (only what changed is computed again), the backward pass stops at the block, and no other block gets a
gradient. Memory is one network and one block, not one network per block.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from blockzoo.blockwise.data import Batch, mixed
from blockzoo.blockwise.engines.rounds import WorkerOutcome, active_blocks, distance, recorded, solve
from blockzoo.blockwise.frame import Frame, RoundRecord
from blockzoo.blockwise.local import only_trainable
from blockzoo.core.contracts import ENGINES


@ENGINES.register("gauss-seidel")
class GaussSeidel:
    """Blocks in an order: ascending, descending, random (drawn each round), or by importance (largest gradient first).

    All blocks of a round train on the same K batches, so that activations can be kept.
    """

    def run(self, frame: Frame) -> RoundRecord:
        """One round."""
        begin = time.perf_counter()
        frame.model.train()
        steps = max(state.steps for state in frame.blocks)
        batches = [next(frame.whole.stream) for _ in range(steps)]
        chain = chain_of(frame)
        prefix = _Prefix(chain, batches) if chain is not None else None
        outcomes = [self._visit(frame, block, batches, prefix) for block in self._order(frame, batches)]
        seconds = {"local": time.perf_counter() - begin, "communication": 0.0}
        return recorded(frame, outcomes, 0, seconds, sequential=True)

    def _order(self, frame: Frame, batches: list[Batch]) -> list[int]:
        chosen, order = active_blocks(frame), frame.options.order
        if order == "descending":
            return chosen[::-1]
        if order == "random":
            generator = torch.Generator().manual_seed(mixed(frame.options.seed, frame.round, 3))
            return [chosen[i] for i in torch.randperm(len(chosen), generator=generator).tolist()]
        if order == "importance":
            torch.manual_seed(
                mixed(frame.options.seed, frame.round, len(frame.blocks))
            )  # dropout, of no block
            norms = _gradient_norms(frame, batches[0])
            return sorted(chosen, key=lambda i: -norms[i])
        return chosen

    def _visit(self, frame: Frame, block: int, batches: list[Batch], prefix: _Prefix | None) -> WorkerOutcome:
        state, begin = frame.blocks[block], time.perf_counter()
        before = [p.detach().clone() for p in state.parameters]
        torch.manual_seed(mixed(frame.options.seed, frame.round, block))
        used = batches[: state.steps]
        with only_trainable(frame.model, state.parameters):
            if prefix is None:
                result = solve(frame, state, used)
            else:
                inputs = prefix.before(block)[: state.steps]
                fed = [(x, y) for x, (_, y) in zip(inputs, used, strict=True)]
                result = solve(frame, state, fed, nn.Sequential(*prefix.chain[block:]))
                prefix.changed(block)
        gamma = frame.options.gamma
        moved = distance(state.parameters, before)
        with torch.no_grad():
            if gamma < 1:
                for p, old in zip(state.parameters, before, strict=True):
                    p.mul_(gamma).add_(old, alpha=1 - gamma)
        return WorkerOutcome(block, [], {}, result, moved, time.perf_counter() - begin)


class _Prefix:
    """Activations of K batches before each block of a chain, computed when asked for and kept until something changes."""

    def __init__(self, chain: list[nn.Module], batches: list[Batch]) -> None:
        self.chain = chain
        self._kept: dict[int, list[torch.Tensor]] = {0: [x for x, _ in batches]}

    @torch.no_grad()
    def before(self, block: int) -> list[torch.Tensor]:
        """What the block reads, batch by batch."""
        start = max(place for place in self._kept if place <= block)
        activations = self._kept[start]
        for place in range(start, block):
            activations = [self.chain[place](x) for x in activations]
        for place in [p for p in self._kept if 0 < p < block]:
            del self._kept[place]  # one set of activations is enough
        self._kept[block] = activations
        return activations

    def changed(self, block: int) -> None:
        """The block has other parameters now: what lies behind it is stale."""
        for place in [p for p in self._kept if p > block]:
            del self._kept[place]


def chain_of(frame: Frame) -> list[nn.Module] | None:
    """The blocks as a chain whose parameters are the partition's blocks; None where they are not that.

    Ensembles have blocks side by side; a partition by tensor cuts through them.
    """
    from blockzoo.models.feedforward import Ensemble

    blocks = getattr(frame.model, "blocks", None)
    if blocks is None or isinstance(frame.model, Ensemble):
        return None
    chain = list(blocks)
    owned = [[id(p) for p in block.parameters()] for block in chain]
    if [o for o in owned if o] != [[id(p) for p in state.parameters] for state in frame.blocks]:
        return None
    if any(not o for o in owned):  # blocks without parameters go with the one before
        merged: list[nn.Module] = []
        for block, own in zip(chain, owned, strict=True):
            if own or not merged:
                merged.append(block)
            else:
                merged[-1] = nn.Sequential(merged[-1], block)
        chain = merged
        if len(chain) != len(frame.blocks):
            return None
    return chain


def _gradient_norms(frame: Frame, batch: Batch) -> list[float]:
    x, y = batch
    parameters = [p for state in frame.blocks for p in state.parameters]
    flat = list(torch.autograd.grad(frame.criterion(frame.model(x), y), parameters, materialize_grads=True))
    norms = []
    for state in frame.blocks:
        own, flat = flat[: len(state.parameters)], flat[len(state.parameters) :]
        norms.append(float(torch.stack([g.square().sum() for g in own]).sum().sqrt()))
    return norms
