"""The form a network is deployed in: branches merged, batch normalisation folded into convolutions."""

from __future__ import annotations

import torch
from torch import nn

from blockzoo.models.copying import duplicate
from blockzoo.models.folding import check_folded, fold, safe_pairs
from blockzoo.models.merging import with_merged_branches


def fold_batch_norm(
    module: nn.Module, example: torch.Tensor, *others: torch.Tensor, inplace: bool = False
) -> nn.Module:
    """`module`, or a copy of it, in evaluation mode, with every batch norm folded into the convolution before it for which the
    graph of the network proves that nothing else can tell (see `folding`).

    Args:
        example: an input; others where the network takes several.
        inplace: change `module` itself, which is then not there to compare with: for counting on the meta device.

    Raises:
        CheckFailed: the outputs of a copy differ from the network's; the message names the norms.
    """
    if inplace:
        return fold(module.eval(), safe_pairs(module, example, *others))
    plain = duplicate(module).eval()
    pairs = safe_pairs(plain, example, *others)
    folded = fold(duplicate(plain), pairs)
    check_folded(plain, folded, pairs, example, *others)
    return folded


def deployed(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy in evaluation mode with branches merged and batch norms folded, each checked against the network before.

    Branches whose merging changes what the network computes are left as they are, and this is said.

    Raises:
        CheckFailed: the outputs differ by folding; the message names the norms.
    """
    return fold_batch_norm(with_merged_branches(module, example), example)


@torch.no_grad()
def relative_difference(first: nn.Module, second: nn.Module, example: torch.Tensor) -> float:
    """Largest absolute difference of the outputs, relative to the largest absolute output of `first`."""
    a, b = first(example), second(example)
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))
