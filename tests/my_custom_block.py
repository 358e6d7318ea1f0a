"""The example of the documentation: a block of one's own, in a file of its own."""

from torch import nn

from blockzoo import register_block


@register_block
class MyCustomBlock(nn.Module):
    """Two 3x3 convolutions and a projection shortcut."""

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x):
        return nn.functional.relu(self.body(x) + self.shortcut(x))
