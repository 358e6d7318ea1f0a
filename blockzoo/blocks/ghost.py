"""Ghost bottlenecks: half of the features are cheap depthwise copies of the other half."""

from __future__ import annotations

from timm.models import ghostnet, repghost

from blockzoo.blocks.transition import check_divides
from blockzoo.core.contracts import BLOCKS


@BLOCKS.register
class GhostBottleneckV3(ghostnet.GhostBottleneckV3):
    """Two ghost modules around an expansion by 3, gated by a decoupled long-range branch (GhostNetV3).

    Three parallel branches per convolution while training, one when deployed. The gate is that of all but the
    first two layers of the paper's network. It pools by 2: maps must be at least 2x2.

    Source: Liu et al., GhostNetV3: Exploring the Training Strategies for Compact Models, 2024, arXiv:2404.11202.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "GhostBottleneckV3", "two halves")
        super().__init__(in_channels, 3 * in_channels, out_channels, stride=stride, mode="shortcut")


@BLOCKS.register("GhostBottleneckV3@published")
class PublishedGhostBottleneckV3(ghostnet.GhostBottleneckV3):
    """GhostBottleneckV3 as earlier tables had it: no gate, expansion 3 (late: 5), squeeze-and-excitation only late."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        expansion, excitation = (5, 0.25) if position == "late" else (3, 0.0)
        super().__init__(
            in_channels, expansion * in_channels, out_channels, stride=stride, se_ratio=excitation
        )


@BLOCKS.register
class GhostBottleneck(ghostnet.GhostBottleneck):
    """Two ghost modules around an expansion by 3: half of their features are a cheap 3x3 depthwise of the other half (GhostNet).

    Source: Han et al., GhostNet: More Features from Cheap Operations, CVPR 2020, arXiv:1911.11907.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, 3 * in_channels, out_channels, stride=stride)


@BLOCKS.register
class GhostBottleneckV2(ghostnet.GhostBottleneck):
    """GhostBottleneck whose first module is gated by attention over rows and columns (GhostNetV2, all but its first layers).

    It pools by 2: maps must be at least 2x2.

    Source: Tang et al., GhostNetV2: Enhance Cheap Operation with Long-Range Attention, NeurIPS 2022, arXiv:2211.12905.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, 3 * in_channels, out_channels, stride=stride, mode="attn")


@BLOCKS.register
class RepGhostBottleneck(repghost.RepGhostBottleneck):
    """Two ghost modules that add where GhostNet concatenates, fused when deployed, around an expansion by 1.5 (RepGhostNet).

    Source: Chen et al., RepGhost: A Hardware-Efficient Ghost Module via Re-parameterization, 2022, arXiv:2211.06088.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, in_channels * 3 // 2, out_channels, stride=stride)
