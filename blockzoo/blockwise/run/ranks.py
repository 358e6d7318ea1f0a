"""The processes that run a block-wise training together; one alone by default."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from blockzoo.core.errors import RankLost
from blockzoo.execution.ranks import PATIENCE

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among all.

    Args:
        rank: 0 is the one that reports.
        count: of processes.
        started: by `run_together`, which ends their group itself.
    """

    rank: int = 0
    count: int = 1
    started: bool = False

    @classmethod
    def join(cls, patience: float = PATIENCE) -> Ranks:
        """The processes that torchrun started: gloo on processors, nccl on GPUs; one waits so many seconds for the others."""
        if not dist.is_initialized():
            # Imported once a group exists, its functions' defaults would hold that group, and its threads, until the end.
            importlib.import_module("torch.distributed.nn")
            backend = "nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=timedelta(seconds=patience))
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Is this the one that reports?"""
        return self.rank == 0

    @property
    def many(self) -> bool:
        """Are there others?"""
        return self.count > 1

    def leave(self) -> None:
        """At the end of a run: wait for the others, and end the group with its threads (one left at exit can abort the rank)."""
        if dist.is_initialized() and not self.started:
            with lost_ranks_are_named(self.rank):
                dist.barrier()
            dist.destroy_process_group()

    def share(self, value: T) -> T:
        """What the first rank has, on all of them.

        Raises:
            RankLost: a rank does not answer.
        """
        if not self.many:
            return value
        box = [value]
        with lost_ranks_are_named(self.rank):
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def summed(self, counts: list[int]) -> list[int]:
        """The sums over all ranks, on all of them."""
        if not self.many:
            return counts
        total = torch.tensor(counts, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        with lost_ranks_are_named(self.rank):
            dist.all_reduce(total)
        return [int(count) for count in total.tolist()]

    def gather(self, value: T) -> list[T]:
        """What each rank has, on all of them."""
        if not self.many:
            return [value]
        values: list[Any] = [None] * self.count
        with lost_ranks_are_named(self.rank):
            dist.all_gather_object(values, value)
        return values


class lost_ranks_are_named:
    """Turns the error of a collective into a `RankLost` that says how to go on."""

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RuntimeError):
            first = str(error).strip().splitlines()[0][:200]
            hung = ", it ended or kept this one waiting for longer than --rank-timeout allows"
            raise RankLost(
                f"rank {self._rank}: another rank is lost{hung if 'imed out' in str(error) else ''} ({first}); "
                "the last checkpoint is whole: start the same command with --resume"
            ) from error
