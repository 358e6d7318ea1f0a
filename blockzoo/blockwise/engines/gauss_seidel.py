"""Gauss-Seidel: one block after the other, each from the newest centre.

Where the network is a chain of blocks and its partition is these, a step is cheap: the activations before the active block are
kept from step to step (only what changed is computed again), the backward pass stops at the block, and no other block gets a
gradient. Memory is one network and one block, not one network per block.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from blockzoo.blockwise.chains import Prefix, chain_of, check_kept_activations
from blockzoo.blockwise.contracts import ENGINES, Centre
from blockzoo.blockwise.engines.rounds import (
    WorkerOutcome,
    active_blocks,
    bytes_to_all,
    distance,
    recorded,
    solve,
)
from blockzoo.blockwise.local import gradients_of, only_trainable
from blockzoo.blockwise.run.data import Batch
from blockzoo.blockwise.run.frame import RoundRecord
from blockzoo.blockwise.run.losses import no_reentrant_checkpoints
from blockzoo.core.seeds import mixed


@ENGINES.register("gauss-seidel")
class GaussSeidel:
    """Blocks in an order: ascending, descending, random (drawn each round), or by importance (largest gradient first).

    All blocks of a round train on the same K batches, so that activations can be kept. Communication is counted as if every
    block were on a machine of its own, which sends it to all others once it is trained.
    """

    def __init__(self) -> None:
        self._first = True
        self._seen: Centre | None = None
        self._chain: list[nn.Module] | None = None

    def run(self, frame: Centre) -> RoundRecord:
        """One round."""
        begin = time.perf_counter()
        frame.model.train()
        steps = max(state.steps for state in frame.blocks)
        batches = [next(frame.whole.stream) for _ in range(steps)]
        if frame is not self._seen:
            self._first, self._seen = True, frame
            self._chain = chain_of(frame, batches[0])
        prefix = Prefix(self._chain, batches) if self._chain is not None else None
        outcomes = [self._visit(frame, block, batches, prefix) for block in self._order(frame, batches)]
        self._first = False
        seconds = {"local": time.perf_counter() - begin, "communication": 0.0}
        sent = bytes_to_all(frame, [outcome.block for outcome in outcomes])
        return recorded(frame, outcomes, sent, seconds, sequential=True)

    def _check(self, frame: Centre, prefix: Prefix, block: int, batch: Batch, kept: torch.Tensor) -> None:
        """The first batch of a block's first visit, through kept activations and through the whole network."""
        rest = nn.Sequential(*prefix.chain[block:])
        with frame.undisturbed(), torch.no_grad():
            whole, again = (frame.model(batch[0].clone()) for _ in range(2))
            if torch.equal(whole, again):  # chance within the network could not be told from a fault
                difference = check_kept_activations(whole, rest(kept.clone()), frame.blocks[block].label)
                frame.record_check("kept-activations", difference)

    def _order(self, frame: Centre, batches: list[Batch]) -> list[int]:
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

    def _visit(self, frame: Centre, block: int, batches: list[Batch], prefix: Prefix | None) -> WorkerOutcome:
        state, begin = frame.blocks[block], time.perf_counter()
        before = [p.detach().clone() for p in state.parameters]
        torch.manual_seed(mixed(frame.options.seed, frame.round, block))
        used = batches[: state.steps]
        with only_trainable(frame.model, state.parameters):
            if prefix is None:
                result = solve(frame, state, used)
            else:
                inputs = prefix.before(block)[: state.steps]
                if self._first:
                    self._check(frame, prefix, block, used[0], inputs[0])
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


def _gradient_norms(frame: Centre, batch: Batch) -> list[float]:
    """By block, on one batch; a frozen block has none."""
    parameters = [p for state in frame.blocks for p in state.parameters]
    with frame.working(), no_reentrant_checkpoints():
        flat = gradients_of(frame.loss(*batch), parameters)
    norms = []
    for state in frame.blocks:
        own, flat = flat[: len(state.parameters)], flat[len(state.parameters) :]
        norms.append(distance(own, [torch.zeros_like(g) for g in own]))
    return norms
