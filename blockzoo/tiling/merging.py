"""Branches that are trained side by side and run as one convolution, merged before a network is planned, run or exported."""

from __future__ import annotations

import logging

import torch
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import compare, probes, random_statistics
from blockzoo.models.deploy import has_branches, merge_branches

log = logging.getLogger(__name__)


def with_merged_branches(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy whose reparameterisable blocks are one convolution each; the model itself where there are none, or where merging
    them changes what it computes, which is said.
    """
    if not has_branches(model):
        return model
    try:
        merged = merge_branches(model)
        check_merged(model, merged, example)
    except CheckFailed as error:
        log.warning(f"branches are left as they are: {error}")
    except Exception as error:  # methods of that name which are something else
        log.warning(
            f"branches of {type(model).__name__} are left as they are: {type(error).__name__}: {error}"
        )
    else:
        return merged
    return model


@CHECKS.register("merged-branches")
def check_merged(model: nn.Module, merged: nn.Module, example: torch.Tensor) -> float:
    """A network with its branches merged against itself: as it is, and both again with norms of random statistics.

    Catches: a kernel put in the wrong place of a larger one, a norm or a branch left out, and methods named `fuse` or
    `reparameterize` that do something else.

    Tolerance: 1e-4 of the largest output; 1e-3 with random statistics, on which deep networks round more.

    Cost: eight passes of the network (not measured). Nothing where there are no branches.
    """
    plain, what = model.eval(), type(model).__name__
    inputs = probes(example[:1], special=False)
    found = compare("merged-branches", plain, merged, inputs, tolerance=1e-4, what=what)
    drawn = random_statistics(model).eval()
    again = merge_branches(drawn)
    return max(found, compare("merged-branches", drawn, again, inputs[:1], tolerance=1e-3, what=what))
