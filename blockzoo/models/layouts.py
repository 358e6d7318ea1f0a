"""Weights in channels_last."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def laid_out(network: Network, layout: torch.memory_format) -> Network:
    """The network itself, its four-dimensional weights in a memory format; others stay.

    `Module.to(memory_format=torch.channels_last)` ends in an error on weights of five dimensions, which kernels
    that depend on the image have (ODConv, lambda layers).
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4 and tensor.is_floating_point():
            tensor.data = tensor.data.to(memory_format=layout)
    return network
