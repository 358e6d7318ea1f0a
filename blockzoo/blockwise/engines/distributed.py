"""Distributed: jacobi with real processes. Each rank owns some blocks; one collective a round brings them together.

Every rank holds the same centre, trains its own blocks from it, and packs their new values into one vector; an all-gather later
every rank makes the same update, so centres stay equal without a sum over ranks: the result is that of `jacobi` bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

from blockzoo.blockwise.engines.rounds import WorkerOutcome, active_blocks, commit, recorded, work
from blockzoo.blockwise.frame import Frame, RoundRecord
from blockzoo.blockwise.local import LocalResult
from blockzoo.blockwise.ranks import Ranks, lost_ranks_are_named
from blockzoo.core.contracts import ENGINES
from blockzoo.core.errors import Diverged, RequestError

FIGURES = 5
"""Numbers that travel with a block: its mean loss, steps, gradient norm, movement and seconds."""


@ENGINES.register("distributed", aliases=("blockwise",))
class Distributed:
    """One rank of a block-wise run under torchrun.

    Raises:
        RequestError: not under torchrun, or more ranks than blocks.
        RankLost: another rank ended.
    """

    def __init__(self) -> None:
        joined = Ranks.join()
        self.rank, self.ranks = joined.rank, joined.count

    def run(self, frame: Frame) -> RoundRecord:
        """One round."""
        if self.ranks > len(frame.blocks):
            raise RequestError(
                f"{self.ranks} ranks for {len(frame.blocks)} blocks: start at most one per block"
            )
        chosen = active_blocks(frame)
        own = [self._work(frame, block) for block in chosen if self.owner(block) == self.rank]
        begin = time.perf_counter()
        outcomes = self._exchanged(frame, chosen, own)
        if lost := [frame.blocks[o.block].label for o in outcomes if any(v != v for v in o.result.losses)]:
            raise Diverged(
                f"block {', '.join(lost)}: the loss became nan or infinite; try a smaller step size, or a proximal term"
            )
        commit(frame, outcomes)
        waited = time.perf_counter() - begin
        length = max(self._length(frame, chosen, rank) for rank in range(self.ranks))
        bytes_ = length * self._like(frame).element_size() * self.ranks * max(1, self.ranks - 1)
        local = sum(outcome.seconds for outcome in own)
        return recorded(frame, outcomes, bytes_, {"local": local, "communication": waited})

    def _work(self, frame: Frame, block: int) -> WorkerOutcome:
        """A local problem; one that diverges is handed in with a loss of NaN, so that all ranks end alike."""
        try:
            return work(frame, block)
        except Diverged:
            now = dict(frame.model.named_buffers())
            buffers = {name: now[name].detach().clone() for name in self._buffers(frame, block)}
            values = [p.detach().clone() for p in frame.blocks[block].parameters]
            nothing = LocalResult([float("nan")], 0, float("nan"), False)
            return WorkerOutcome(block, values, buffers, nothing, float("nan"), 0.0)

    def gathered(self, state: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
        """A frame's state with each block's optimiser and stream from the rank that owns it."""
        found = ranks.gather(state)
        whole = dict(state)
        for name in ("optimizers", "streams"):
            whole[name] = [
                found[self.owner(block) if block < len(state[name]) - 1 else 0][name][block]
                for block in range(len(state[name]))
            ]
        return whole

    def owner(self, block: int) -> int:
        """The rank that trains a block."""
        return block % self.ranks

    def _exchanged(
        self, frame: Frame, chosen: Sequence[int], own: Sequence[WorkerOutcome]
    ) -> list[WorkerOutcome]:
        """The outcomes of all active blocks, in order, from one all-gather of equally long vectors."""
        like = self._like(frame)
        lengths = [self._length(frame, chosen, rank) for rank in range(self.ranks)]
        packed = torch.zeros(max(lengths)).to(like)
        if own:
            mine = torch.cat([self._packed(outcome).to(like) for outcome in own])
            packed[: len(mine)] = mine
        gathered = [torch.empty_like(packed) for _ in range(self.ranks)]
        with lost_ranks_are_named(self.rank):
            dist.all_gather(gathered, packed)
        places = [0] * self.ranks
        found = []
        for block in chosen:
            rank = self.owner(block)
            size = self._size(frame, block)
            found.append(self._unpacked(frame, block, gathered[rank][places[rank] : places[rank] + size]))
            places[rank] += size
        mine_by_block = {outcome.block: outcome for outcome in own}
        return [mine_by_block.get(outcome.block, outcome) for outcome in found]

    def _like(self, frame: Frame) -> torch.Tensor:
        return frame.blocks[0].parameters[0].detach()

    def _buffers(self, frame: Frame, block: int) -> list[str]:
        if frame.options.buffers == "average":
            return [name for name, _ in frame.model.named_buffers()]
        return frame.blocks[block].buffers

    def _size(self, frame: Frame, block: int) -> int:
        buffers = dict(frame.model.named_buffers())
        held = sum(buffers[name].numel() for name in self._buffers(frame, block))
        return sum(p.numel() for p in frame.blocks[block].parameters) + held + FIGURES

    def _length(self, frame: Frame, chosen: Sequence[int], rank: int) -> int:
        return sum(self._size(frame, block) for block in chosen if self.owner(block) == rank)

    def _packed(self, outcome: WorkerOutcome) -> torch.Tensor:
        result = outcome.result
        figures = [
            sum(result.losses) / len(result.losses),
            result.steps,
            result.gradient_norm,
            outcome.movement,
            outcome.seconds,
        ]
        tensors = [*outcome.values, *outcome.buffers.values()]
        flat = [t.reshape(-1).to(outcome.values[0]) for t in tensors]
        return torch.cat([*flat, torch.tensor(figures).to(outcome.values[0])])

    def _unpacked(self, frame: Frame, block: int, flat: torch.Tensor) -> WorkerOutcome:
        values, at = [], 0
        for p in frame.blocks[block].parameters:
            values.append(flat[at : at + p.numel()].view_as(p).clone())
            at += p.numel()
        buffers, now = {}, dict(frame.model.named_buffers())
        for name in self._buffers(frame, block):
            size = now[name].numel()
            buffers[name] = flat[at : at + size].view_as(now[name]).to(now[name].dtype).clone()
            at += size
        loss, steps, norm, movement, seconds = flat[at : at + FIGURES].tolist()
        taken, early = round(steps), round(steps) < frame.blocks[block].steps
        result = LocalResult([loss] * (taken + early), taken, norm, early)  # as many losses as its worker saw
        return WorkerOutcome(block, values, buffers, result, movement, seconds)
