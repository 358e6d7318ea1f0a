"""The batches of a block-wise run: whole tensors in memory, drawn anew each round, each worker from a stream of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockzoo.core.errors import RequestError

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and targets (N, ...) on one device."""

    x: torch.Tensor
    y: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise RequestError(
                f"{len(self.x)} inputs and {len(self.y)} targets: as many of each are needed, and at least one"
            )

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> Iterator[Batch]:
        """All examples, in order."""
        for start in range(0, len(self), size):
            yield self.x[start : start + size], self.y[start : start + size]

    def to(self, device: torch.device | str) -> Examples:
        """The same examples on another device."""
        return Examples(self.x.to(device), self.y.to(device))


class Stream:
    """Batches of one worker, whose order depends on (seed, worker) alone and never starts anew: pass follows pass.

    Args:
        examples: to draw from.
        size: of a batch; at most all examples.
        seed, worker: equal ones give equal batches.
    """

    def __init__(self, examples: Examples, size: int, seed: int, worker: int) -> None:
        self._examples, self._size = examples, min(size, len(examples))
        self._key = (seed, worker)
        self.position = 0
        """Batches drawn so far: all that a checkpoint needs."""
        self._pass, self._order = -1, torch.zeros(0, dtype=torch.long)

    def __next__(self) -> Batch:
        per_pass = len(self._examples) // self._size
        number, place = divmod(self.position, per_pass)
        if number != self._pass:
            generator = torch.Generator().manual_seed(mixed(*self._key, number))
            self._order, self._pass = torch.randperm(len(self._examples), generator=generator), number
        chosen = self._order[place * self._size : (place + 1) * self._size].to(self._examples.x.device)
        self.position += 1
        return self._examples.x[chosen], self._examples.y[chosen]

    def __iter__(self) -> Stream:
        return self


def mixed(*seeds: int) -> int:
    """One seed from several, so that neighbours share nothing."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, seeds)).encode(), digest_size=4).digest(), "big")
