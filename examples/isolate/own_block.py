"""A block of one's own: a 3x3 convolution on half of the channels, mixed by a 1x1 convolution, with a shortcut where it fits.

blockzoo profile examples/isolate/own_block.py:HalfBlock ResNetBasicBlock --position late
"""

from __future__ import annotations

import torch
from torch import nn


class HalfBlock(nn.Module):
    """Input (B, in_channels, H, W), output (B, out_channels, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        self.half = in_channels // 2
        self.filter = nn.Conv2d(self.half, self.half, 3, stride, padding=1, bias=False)
        self.rest = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.mix = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm, self.shortcut = nn.BatchNorm2d(out_channels), stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The half that is filtered, beside the other."""
        first, second = x[:, : self.half], x[:, self.half :]
        made = self.norm(self.mix(torch.cat([self.filter(first), self.rest(second)], 1)))
        return torch.relu(x + made if self.shortcut else made)
