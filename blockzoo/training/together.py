"""What the processes that train one network together (ranks) exchange beside its gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one network together; one alone by default.

    Args:
        rank: 0 is the one that writes and reports.
        count: of processes; all of them are in the process group of torch.distributed.
    """

    rank: int = 0
    count: int = 1

    @property
    def many(self) -> bool:
        """Are there others?"""
        return self.count > 1

    @property
    def facts(self) -> dict[str, Any]:
        """What a record's environment says of them; nothing of one alone."""
        if not self.many:
            return {}
        return {"devices": self.count, "strategy": "ddp", "backend": dist.get_backend()}

    def trainer_options(self, *, unused_parameters: bool) -> dict[str, Any]:
        """What Lightning's Trainer is told: gradients are averaged over ranks that others have started.

        Running statistics are not taken from the first rank before each step, as is usual, but averaged before they are
        read: see `share_statistics`.

        Args:
            unused_parameters: some get no gradient, so the ranks must look for these in each step.
        """
        if not self.many:
            return {"devices": 1}
        strategy = DDPStrategy(
            process_group_backend=dist.get_backend(),
            broadcast_buffers=False,
            find_unused_parameters=unused_parameters,
        )
        return {"devices": self.count, "strategy": strategy}

    def summed(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks, on each of them."""
        if not self.many:
            return values
        own = values.cuda() if dist.get_backend() == "nccl" else values.clone()
        dist.all_reduce(own)
        return own.to(values.device)

    def gathered(self, value: object) -> list[Any]:
        """What each rank has, on all of them."""
        values: list[Any] = [value]
        if self.many:
            values = [None] * self.count
            dist.all_gather_object(values, value)
        return values

    def share_statistics(self, network: nn.Module) -> None:
        """Make the ranks' buffers equal: running means and variances are averaged, all others taken from the first rank.

        The average of the means is what one process would have. That of the variances lacks what the means of the parts
        differ by, as the normalisation by parts does.
        """
        if not self.many:
            return
        running = {
            id(statistic)
            for norm in network.modules()
            if isinstance(norm, _NormBase)
            for statistic in (norm.running_mean, norm.running_var)
        }
        for buffer in network.buffers():
            if id(buffer) in running:
                buffer.copy_(self.summed(buffer) / self.count)
            else:
                whole = buffer.contiguous()
                dist.broadcast(whole.view(torch.uint8) if whole.dtype == torch.bool else whole, src=0)
                buffer.copy_(whole)


ALONE = Ranks()
"""The one process of most trainings."""


@CHECKS.register("equal-ranks")
def check_equal_ranks(digests: Sequence[str]) -> float:
    """The weights and statistics that each process ends a training on several devices with, as digests of their bytes.

    Catches: gradients that were not averaged (a layer outside DDP's graph), ranks that resumed from different checkpoints,
    statistics that were left apart.

    Tolerance: none, all bytes are equal.

    Cost: one pass over the weights, once a training; ResNet-18, 32 ms of one core (AMD EPYC).

    Args:
        digests: one per rank, see `digest_of_weights`.
    """
    if different := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
        raise CheckFailed(
            f"check 'equal-ranks' failed: after the training the weights of rank {different[0]} of {len(digests)} are not "
            "those of rank 0, so the network has no one accuracy: train it with --devices 1"
        )
    return 0.0


def digest_of_weights(network: nn.Module) -> str:
    """A digest of all parameters and statistics, bit for bit."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
