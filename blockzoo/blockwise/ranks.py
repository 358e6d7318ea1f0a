"""The processes that run a block-wise training together; one alone by default."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from blockzoo.core.errors import BlockzooError, RequestError


class RankLost(BlockzooError):
    """Another rank ended or does not answer; the message says how to go on."""


@dataclass(frozen=True)
class Ranks:
    """This process among all.

    Args:
        rank: 0 is the one that reports.
        count: of processes.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Ranks:
        """The processes that torchrun started: gloo on processors, nccl on GPUs.

        Raises:
            RequestError: this process was not started by torchrun.
        """
        if not dist.is_initialized():
            if "RANK" not in os.environ:
                raise RequestError(
                    "training mode distributed runs under torchrun: torchrun --nproc-per-node 4 -m blockzoo.blockwise ...; "
                    "jacobi makes the same updates in one process"
                )
            # Imported once a group exists, its functions' defaults would hold that group, and its threads, until the end.
            importlib.import_module("torch.distributed.nn")
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
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
        if dist.is_initialized():
            with lost_ranks_are_named(self.rank):
                dist.barrier()
            dist.destroy_process_group()

    def share(self, value: Any) -> Any:
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

    def gather(self, value: Any) -> list[Any]:
        """What each rank has, on all of them."""
        if not self.many:
            return [value]
        found: list[Any] = [None] * self.count
        with lost_ranks_are_named(self.rank):
            dist.all_gather_object(found, value)
        return found


class lost_ranks_are_named:
    """Turns the error of a collective into a `RankLost` that says how to go on."""

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RuntimeError):
            first = str(error).strip().splitlines()[0][:200]
            raise RankLost(
                f"rank {self._rank}: another rank is lost ({first}); the last checkpoint is whole: "
                "start the same command with --resume"
            ) from error
