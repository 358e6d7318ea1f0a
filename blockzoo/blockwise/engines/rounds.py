"""What all engines share: running one block's local problem and putting everything else back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from blockzoo.blockwise.contracts import Centre
from blockzoo.blockwise.local import LocalResult, local_steps, only_trainable, squared_norm
from blockzoo.blockwise.run.data import Batch
from blockzoo.blockwise.run.frame import BlockState, RoundRecord
from blockzoo.blockwise.run.losses import Forward
from blockzoo.core.seeds import mixed

Tensors = list[torch.Tensor]


@dataclass
class WorkerOutcome:
    """What a worker hands in: its block's new values, its buffers, and how its local problem went."""

    block: int
    values: Tensors
    buffers: dict[str, torch.Tensor]
    result: LocalResult
    movement: float
    seconds: float
    staleness: int = 0


def active_blocks(frame: Centre) -> list[int]:
    """The blocks that work this round: all that are not frozen, or a share of them drawn from (seed, round)."""
    able = [block for block, state in enumerate(frame.blocks) if state.parameters]
    wanted = max(1, round(frame.share * len(able)))
    if wanted >= len(able):
        return able
    generator = torch.Generator().manual_seed(mixed(frame.options.seed, frame.round, 1))
    return sorted(able[place] for place in torch.randperm(len(able), generator=generator)[:wanted].tolist())


def work(frame: Centre, block: int) -> WorkerOutcome:
    """One worker's local problem from the present centre; afterwards the centre is as before.

    The worker trains on the centre network itself, so that no copy of it is needed: the block's values and all buffers are
    kept aside and put back.
    """
    state = frame.blocks[block]
    begin = time.perf_counter()
    before = [p.detach().clone() for p in state.parameters]
    old_buffers = {name: b.detach().clone() for name, b in frame.model.named_buffers()}
    frame.model.train()
    torch.manual_seed(mixed(frame.options.seed, frame.round, block))
    with only_trainable(frame.model, state.parameters):
        result = solve(frame, state, [next(state.stream) for _ in range(state.steps)])
    with torch.no_grad():
        values = [p.detach().clone() for p in state.parameters]
        moved = distance(values, before)
        own = old_buffers if frame.options.buffers == "average" else state.buffers
        now = dict(frame.model.named_buffers())
        buffers = {name: now[name].detach().clone() for name in own}
        put(state.parameters, before)
        for name, value in old_buffers.items():
            now[name].copy_(value)
    return WorkerOutcome(block, values, buffers, result, moved, time.perf_counter() - begin)


def solve(
    frame: Centre, state: BlockState, batches: Sequence[Batch], forward: Forward | None = None
) -> LocalResult:
    """The local steps of a block on batches, through the whole network or another way forward."""
    forward = frame.model if forward is None else forward
    with frame.working():
        return local_steps(
            state.parameters, forward, frame.criterion, batches, state.optimizer, state.proximal, state.label
        )


@torch.no_grad()
def distance(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Euclidean, over all tensors together; 0 where there are none."""
    squares = [squared_norm(a.detach() - b) for a, b in zip(one, other, strict=True)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


@torch.no_grad()
def put(parameters: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    """Set parameters."""
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


@torch.no_grad()
def commit(frame: Centre, outcomes: Sequence[WorkerOutcome]) -> None:
    """centre_i <- (1 - gamma) centre_i + gamma worker_i, and the buffers by the run's policy."""
    gamma = frame.options.gamma
    for outcome in outcomes:
        for p, value in zip(frame.blocks[outcome.block].parameters, outcome.values, strict=True):
            p.copy_(value) if gamma == 1 else p.mul_(1 - gamma).add_(value, alpha=gamma)
    commit_buffers(frame, outcomes)


@torch.no_grad()
def commit_buffers(frame: Centre, outcomes: Sequence[WorkerOutcome]) -> None:
    """The buffers that workers hand in: those of one worker as they are, those of several averaged."""
    now = dict(frame.model.named_buffers())
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.buffers):
        values = [outcome.buffers[name] for outcome in outcomes if name in outcome.buffers]
        if now[name].is_floating_point() and len(values) > 1:
            now[name].copy_(torch.stack(values).mean(0))
        else:
            now[name].copy_(values[0])


def recorded(
    frame: Centre,
    outcomes: Sequence[WorkerOutcome],
    bytes_: int,
    seconds: dict[str, float],
    sequential: bool = False,
) -> RoundRecord:
    """The record of a round; deviation, staleness and gradients are those before communication."""
    count = len(frame.blocks)
    by_block = {outcome.block: outcome for outcome in outcomes}
    return RoundRecord(
        number=frame.round,
        train_loss=mean_loss([outcome.result for outcome in outcomes]),
        movement=[by_block[i].movement if i in by_block else None for i in range(count)],
        staleness=[by_block[i].staleness if i in by_block else None for i in range(count)],
        gradient_norm=[by_block[i].result.gradient_norm if i in by_block else None for i in range(count)],
        steps=[by_block[i].result.steps if i in by_block else None for i in range(count)],
        sequential=sequential,
        bytes_communicated=bytes_,
        seconds=seconds,
        spent=frame.spent(),
    )


def mean_loss(results: Sequence[LocalResult]) -> float:
    """Of all local steps; NaN where there were none."""
    losses = [loss for result in results for loss in result.losses]
    return sum(losses) / len(losses) if losses else float("nan")


def block_bytes(state: BlockState) -> int:
    """Bytes of a block's parameters that are trained."""
    return sum(p.numel() * p.element_size() for p in state.parameters)


def bytes_to_all(frame: Centre, chosen: Sequence[int]) -> int:
    """Bytes that travel where each of these blocks is sent to the workers of all others that are trained."""
    workers = sum(1 for state in frame.blocks if state.parameters)
    return sum(block_bytes(frame.blocks[block]) for block in chosen) * max(1, workers - 1)
