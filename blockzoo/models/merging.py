"""Branches that are trained side by side and run as one convolution, merged before a network is planned, run or exported."""

from __future__ import annotations

import logging

import torch
from timm.utils import reparameterize_model
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import compare, probes, random_statistics
from blockzoo.models.copying import duplicate

log = logging.getLogger(__name__)


def merge_branches(module: nn.Module, *, inplace: bool = False) -> nn.Module:
    """`module`, or a copy of it, with reparameterisable blocks as one convolution each, in eval mode.

    timm's walk never visits the root, so the root is wrapped. A module on the meta device stays there.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    wrapped = nn.Sequential(module if inplace else duplicate(module))
    with torch.device(device):
        return reparameterize_model(wrapped, inplace=True)[0].eval()


def has_branches(module: nn.Module) -> bool:
    """Is there anything to merge?"""
    return any(
        hasattr(m, name) for m in module.modules() for name in ("fuse", "reparameterize", "switch_to_deploy")
    )


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
    plain, what = duplicate(model).eval(), type(model).__name__
    inputs = probes(example[:1], special=False)
    found = compare("merged-branches", plain, merged, inputs, tolerance=1e-4, what=what)
    drawn = random_statistics(plain)
    again = merge_branches(drawn)
    return max(found, compare("merged-branches", drawn, again, inputs[:1], tolerance=1e-3, what=what))
