"""The form a network is deployed in: branches merged, batch normalisation folded into convolutions."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from blockzoo.models.copying import duplicate
from blockzoo.models.folding import check_folded, fold, safe_pairs
from blockzoo.models.merging import with_merged_branches


def fold_batch_norm(
    module: nn.Module,
    example: torch.Tensor,
    *others: torch.Tensor,
    batch_sizes: Collection[int] = (),
    inplace: bool = False,
) -> nn.Module:
    """`module`, or a copy of it, in evaluation mode, with every batch norm folded into the convolution before it for which the
    graph of the network proves that nothing else can tell (see `folding`).

    Args:
        module: the network; it stays as it is, unless `inplace`.
        example: an input of the shape that it is used with, as what a network does may depend on it.
        others: further inputs, where the network takes several.
        batch_sizes: numbers of images that it is used with, besides one and as many as in `example`.
        inplace: change `module` itself, which is then not there to compare with: for counting on the meta device.

    Raises:
        CheckFailed: the outputs of a copy differ from the network's; the message names the norms.
    """
    if inplace:
        return fold(module.eval(), safe_pairs(module, example, *others, batch_sizes=batch_sizes))
    plain = duplicate(module).eval()
    pairs = safe_pairs(plain, example, *others, batch_sizes=batch_sizes)
    folded = fold(duplicate(plain), pairs)
    check_folded(plain, folded, pairs, example, *others)
    return folded


def deployed(module: nn.Module, example: torch.Tensor, batch_sizes: Collection[int] = ()) -> nn.Module:
    """A copy in evaluation mode with branches merged and batch norms folded, each checked against the network before.

    Branches whose merging changes what the network computes are left as they are, and this is said.

    Args:
        module: the network; it stays as it is.
        example: an input of the shape that it is used with.
        batch_sizes: numbers of images that it is used with, as of `fold_batch_norm`.

    Raises:
        CheckFailed: the outputs differ by folding; the message names the norms.
    """
    return fold_batch_norm(with_merged_branches(module, example), example, batch_sizes=batch_sizes)


@torch.no_grad()
def relative_difference(first: nn.Module, second: nn.Module, example: torch.Tensor) -> float:
    """Largest absolute difference of the outputs, relative to the largest absolute output of `first`."""
    a, b = first(example), second(example)
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))
