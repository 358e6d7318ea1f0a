"""A network as a chain of its blocks, and activations that are kept between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.blockwise.contracts import Centre
from blockzoo.blockwise.run.data import Batch
from blockzoo.blockwise.run.losses import no_reentrant_checkpoints
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import deviation

if TYPE_CHECKING:
    from jaxtyping import Float


TOLERANCE = 1e-4


class Prefix:
    """Activations of K batches before each block of a chain, computed when asked for and kept until something changes."""

    def __init__(self, chain: list[nn.Module], batches: list[Batch]) -> None:
        self.chain = chain
        self._kept: dict[int, list[torch.Tensor]] = {0: [x for x, _ in batches]}

    @torch.no_grad()
    def before(self, block: int) -> list[torch.Tensor]:
        """What the block reads, batch by batch; not to be written to."""
        start = max(place for place in self._kept if place <= block)
        activations = self._kept[start]
        for place in range(start, block):
            activations = [self.chain[place](x.clone()) for x in activations]  # a block may change its input
        for place in [p for p in self._kept if 0 < p < block]:
            del self._kept[place]  # one set of activations is enough
        self._kept[block] = activations
        return activations

    def changed(self, block: int) -> None:
        """The block has other parameters now: what lies behind it is stale."""
        for place in [p for p in self._kept if p > block]:
            del self._kept[place]


def chain_of(frame: Centre, batch: Batch) -> list[nn.Module] | None:
    """The blocks as a chain whose parameters are the partition's blocks; None where they are not that.

    Ensembles have blocks side by side; a partition by tensor cuts through them; and a network may do more in its forward pass
    than to call its blocks, which shows on a batch.
    """
    blocks = getattr(frame.model, "blocks", None)
    if not isinstance(blocks, (list, nn.ModuleList, nn.Sequential)):
        return None
    chain = _with_parameters(list(blocks))
    owned = [[id(p) for p in block.parameters()] for block in chain]
    if owned != [[id(p) for p in own] for own in frame.partition.parameters(frame.model)]:
        return None
    return chain if _is_the_network(frame, chain, batch[0]) else None


def _with_parameters(blocks: list[nn.Module]) -> list[nn.Module]:
    """Blocks without parameters go with the one before."""
    merged: list[nn.Module] = []
    for block in blocks:
        if merged and next(block.parameters(), None) is None:
            merged[-1] = nn.Sequential(merged[-1], block)
        else:
            merged.append(block)
    return merged


def _is_the_network(frame: Centre, chain: list[nn.Module], x: torch.Tensor) -> bool:
    """Both give the same outputs, with the same draws where there is chance in them."""
    outputs = []
    for forward in (frame.model, nn.Sequential(*chain)):
        with frame.undisturbed(), torch.no_grad(), no_reentrant_checkpoints():
            torch.manual_seed(0)
            try:
                outputs.append(forward(x.clone()))
            except (
                RuntimeError,
                TypeError,
                ValueError,
                IndexError,
                AttributeError,
            ):  # blocks that do not fit one behind the other
                return False
    return deviation(*outputs) <= TOLERANCE


@CHECKS.register("kept-activations")
def check_kept_activations(
    whole: Float[torch.Tensor, "B ..."], kept: Float[torch.Tensor, "B ..."], label: str
) -> float:
    """The outputs of the network for a batch, from the activations that gauss-seidel keeps and through the whole network, at the
    first visit of each block.

    Catches: activations of parameters that have changed since, of another batch, or that a block has written to; blocks that
    are not, one behind the other, the network.

    Tolerance: 1e-4 of the largest output. Networks whose training pass draws by chance are not compared.

    Cost: two forward passes for each block, in the first round of a run.
    """
    difference = deviation(whole, kept)
    if not difference <= TOLERANCE:
        raise CheckFailed(
            f"check 'kept-activations' failed: gauss-seidel trains block {label} on activations whose outputs differ from the "
            f"network's by {difference:.1e} (relative; allowed {TOLERANCE:.0e}); train it with jacobi or entire"
        )
    return difference
