"""Which images a process sees in an epoch, in which order, and how often it has handed each one out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.core.seeds import mixed

if TYPE_CHECKING:
    from jaxtyping import Int


class Shares:
    """One rank's part of each batch, and of each epoch.

    In training, step k of all ranks together sees the images that step k of one process would: the k-th piece of one
    permutation. In evaluation each image is seen by one rank, so ranks may have an image more or less than others.

    Args:
        count: of images.
        batch_size: images per batch and rank. In training a last short batch is left out, unless it is the only one.
        training: shuffled by (seed, epoch), and equally many for all ranks; else all, in order.
        rank, world_size: which part of how many.

    Attributes:
        handed_out: (count,) how often this rank has handed out each image in the present evaluation.
    """

    def __init__(
        self, count: int, batch_size: int, training: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        self.training, self.rank, self.world_size = training, rank, world_size
        self.images = count // world_size if training else len(range(rank, count, world_size))
        self.batch_size = min(batch_size, self.images)
        self.handed_out = torch.zeros(count, dtype=torch.int32)

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(self.images, self.batch_size)
        return whole if self.training else whole + bool(rest)

    def of(self, order: Int[torch.Tensor, " N"]) -> Iterator[Int[torch.Tensor, " batch"]]:
        """The batches of an epoch, each as indices of its images.

        Args:
            order: (count,) all indices, the same on every rank.
        """
        self.handed_out = torch.zeros(len(order), dtype=torch.int32, device=order.device)
        own = order[self.rank :: self.world_size][: len(self) * self.batch_size]
        for indices in own.split(self.batch_size):
            if not self.training:
                self.handed_out[indices] += 1
            yield indices


class Batches:
    """What loaders of batches have in common: each iteration is an epoch, and the next one counts on.

    Args:
        shares: which images this rank sees.

    Attributes:
        batch_size: images per batch and rank.
        epoch: whose order and chances come next.
    """

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self.batch_size = shares.batch_size
        self.epoch = 0

    @property
    def handed_out(self) -> Int[torch.Tensor, " N"]:
        """(N,) how often this rank has handed out each image in the present evaluation."""
        return self._shares.handed_out

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and chances come next; a resumed run does."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._shares)

    def _begun(self) -> int:
        """The epoch that begins. Asked before the first `yield`: after the last one nothing may run."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        return epoch


@CHECKS.register("each-image-once")
def check_each_image_once(handed_out: Int[torch.Tensor, " N"], counted: int) -> float:
    """How often each image of an evaluation was handed to the network, over all ranks, and how many were counted.

    Catches: images that several ranks counted to fill the last batch, images that none counted, sums of one rank shown as
    those of all.

    Tolerance: none, each image once.

    Cost: a count of the images, 0.1 ms for 50,000, and one exchange between the ranks, once an evaluation.

    Args:
        handed_out: (N,) how often, summed over the ranks.
        counted: how many images the accuracy is a mean over.
    """
    if wrong := torch.nonzero(handed_out != 1).flatten().tolist():
        raise CheckFailed(
            f"check 'each-image-once' failed: {len(wrong)} of {len(handed_out)} images were not evaluated once "
            f"(image {wrong[0]} {int(handed_out[wrong[0]])} times), so their accuracy is not given"
        )
    if counted != len(handed_out):
        raise CheckFailed(
            f"check 'each-image-once' failed: the accuracy is over {counted} images of {len(handed_out)}, so it is not given"
        )
    return 0.0


def permutation(count: int, seed: int, epoch: int) -> tuple[Int[torch.Tensor, " count"], torch.Generator]:
    """The order of a training epoch, and the generator that the epoch's other chances are drawn from.

    On the processor, so that every device has the same epoch.
    """
    generator = torch.Generator().manual_seed(mixed(seed, epoch))
    return torch.randperm(count, generator=generator), generator
