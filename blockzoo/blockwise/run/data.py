"""The batches of a block-wise run: whole tensors in memory, drawn anew each round, each worker from a stream of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.seeds import mixed

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and targets (N, ...) on one device."""

    x: torch.Tensor
    y: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise UsageError(
                f"{len(self.x)} inputs and {len(self.y)} targets: as many of each are needed, and at least one"
            )

    @classmethod
    def of(cls, data: Examples | Batch | Iterable[Batch]) -> Examples:
        """Examples as they are, one batch (x, y), or all the batches that a list, a generator or a DataLoader has.

        Raises:
            UsageError: anything else, no batch, or batches that do not belong together.
        """
        if isinstance(data, Examples):
            return data
        parts = as_batches(data)
        if not parts:
            raise UsageError(f"{WHAT_EXAMPLES_ARE}, not none")
        xs, ys = zip(*parts, strict=True)
        for what, tensors in (("inputs", xs), ("targets", ys)):
            kinds = dict.fromkeys(f"{kind_of(t)} {tuple(t.shape[1:])} on {t.device}" for t in tensors)
            if len(kinds) > 1:
                raise UsageError(f"the {what} of the batches differ: {' and '.join(list(kinds)[:2])}")
        return cls(torch.cat(xs), torch.cat(ys))

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> Iterator[Batch]:
        """All examples, in order; what is written to a batch is written to the examples."""
        for start in range(0, len(self), size):
            yield self.x[start : start + size], self.y[start : start + size]

    def to(self, device: torch.device | str) -> Examples:
        """The same examples on another device."""
        return Examples(self.x.to(device), self.y.to(device))


def kind_of(t: Shaped[torch.Tensor, ...]) -> str:
    """The type of its numbers, in a word."""
    return str(t.dtype).removeprefix("torch.")


WHAT_EXAMPLES_ARE = "examples are Examples(x, y), a pair (x, y) of tensors or batches of such pairs"


def as_batches(data: Examples | Batch | Iterable[Batch]) -> list[Batch]:
    """Examples as one batch, one batch (x, y), or all the batches that a list, a generator or a DataLoader has; maybe none.

    Raises:
        UsageError: anything else.
    """
    if isinstance(data, Examples):
        return [(data.x, data.y)]
    parts: list[object] = [data] if _is_batch(data) else list(data) if isinstance(data, Iterable) else [data]
    if odd := [part for part in parts if not _is_batch(part)]:
        raise UsageError(f"{WHAT_EXAMPLES_ARE}, not {type(odd[0]).__name__}")
    return [(part[0], part[1]) for part in parts if _is_batch(part)]


def _is_batch(data: object) -> TypeGuard[Sequence[torch.Tensor]]:
    return (
        isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(t, torch.Tensor) for t in data)
    )


class Stream:
    """Batches of one worker, whose order depends on (seed, worker) alone and never starts anew: pass follows pass.

    Args:
        examples: to draw from.
        size: of a batch; at most all examples.
        seed, worker: equal ones give equal batches.
    """

    def __init__(self, examples: Examples, size: int, seed: int, worker: int) -> None:
        self._examples, self._wanted = examples, size
        self._key: tuple[int, ...] = (seed, worker)
        self._weights: torch.Tensor | None = None
        self.position = 0
        """Batches drawn so far: all that a checkpoint needs."""
        self._pass, self._order = -1, torch.zeros(0, dtype=torch.long)

    @property
    def _pool(self) -> int:
        """Examples that can be drawn."""
        return len(self._examples) if self._weights is None else int((self._weights > 0).sum())

    def weigh(self, weights: Float[torch.Tensor, " N"] | None, round: int) -> None:
        """Draw by these weights (N,) from now on, without repetition within a pass; passes are counted within the round.

        Raises:
            UsageError: weights of another number, a negative one, or none that is positive.
        """
        if weights is None and self._weights is None:
            return
        if weights is not None:
            if len(weights) != len(self._examples) or not bool((weights >= 0).all()) or not weights.sum() > 0:
                raise UsageError(
                    f"a curriculum gives one weight of 0 or more to each of {len(self._examples)} examples, "
                    "and a positive one to some"
                )
            weights = weights.double().cpu()
        self._weights = weights
        self._key = (*self._key[:2], round)
        self.position, self._pass = 0, -1

    def __next__(self) -> Batch:
        size = min(self._wanted, self._pool)
        number, place = divmod(self.position, self._pool // size)
        if number != self._pass:
            self._order, self._pass = self._drawn(number), number
        chosen = self._order[place * size : (place + 1) * size].to(self._examples.x.device)
        self.position += 1
        return self._examples.x[chosen], self._examples.y[chosen]

    def _drawn(self, number: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(mixed(*self._key, number))
        if self._weights is None:
            return torch.randperm(len(self._examples), generator=generator)
        # the largest of u^(1/w) first is a draw by weight without replacement (Efraimidis and Spirakis, 2006)
        u = torch.rand(len(self._weights), generator=generator, dtype=torch.float64)
        keys = u.log() / self._weights.clamp_min(1e-300)
        keys[self._weights <= 0] = -float("inf")
        return keys.argsort(descending=True)[: self._pool]

    def __iter__(self) -> Stream:
        return self
