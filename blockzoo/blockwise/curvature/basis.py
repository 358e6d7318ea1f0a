"""Orthonormal vectors that a Lanczos process keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float


class Basis:
    """Orthonormal vectors, as the rows of a matrix that grows.

    Args:
        first: the first of them, or if there is none yet one of their size.
    """

    def __init__(self, first: Float[torch.Tensor, " size"], empty: bool = False) -> None:
        self._rows, self._count = first.new_empty(4, len(first)), 0
        if not empty:
            self.append(first)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> torch.Tensor:
        return self._rows[range(self._count)[place]]

    def append(self, vector: Float[torch.Tensor, " size"]) -> None:
        """One more."""
        if self._count == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
        self._rows[self._count] = vector
        self._count += 1

    def orthogonalise(self, w: Float[torch.Tensor, " size"]) -> float:
        """Make `w` orthogonal to all, in place and twice; its length afterwards."""
        if self._count:
            matrix = self._rows[: self._count]
            for _ in range(2):
                w -= matrix.T @ (matrix @ w)
        return float(torch.linalg.vector_norm(w.double()))

    def combined(self, coefficients: Float[torch.Tensor, " vectors"]) -> Float[torch.Tensor, " size"]:
        """A linear combination of the first of them, as many as there are coefficients."""
        return self._rows[: len(coefficients)].T @ coefficients.to(self._rows)
