"""Networks of the macro space: a stem, three stages of one cell and a reduction each, a pooled linear head.

Source: Chau et al., Blox, NeurIPS 2022 datasets and benchmarks. Convolutions carry a bias; every one is followed by
batch norm and ReLU but the last of an inverted bottleneck's squeeze, as written at each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float


STEM_WIDTH = 32


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution with bias, batch norm, ReLU; the size stays at stride 1 unless `padding` says otherwise."""
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """`body(x) + x`."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        branch: torch.Tensor = self.body(x)
        return branch + x


class SqueezeExcite(nn.Module):
    """Scales channels by two full 1x1 convolutions of their means, ReLU between and sigmoid after."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        gate: torch.Tensor = self.gate(x)
        return x * gate


def conv(channels: int) -> nn.Module:
    """Four 3x3 convolutions."""
    return nn.Sequential(*(conv_bn_relu(channels, channels, 3) for _ in range(4)))


def mbconv(channels: int) -> nn.Module:
    """Twice: 3x3 to twice the channels, squeeze-and-excite, 1x1 back, shortcut."""
    wide = 2 * channels
    return nn.Sequential(
        *(
            Residual(conv_bn_relu(channels, wide, 3), SqueezeExcite(wide), conv_bn_relu(wide, channels, 1))
            for _ in range(2)
        )
    )


def bconv(channels: int) -> nn.Module:
    """Six bottlenecks with a depthwise 5x5, of half, equal and double width in turn, each with a shortcut."""
    return nn.Sequential(
        *(
            Residual(
                conv_bn_relu(channels, wide, 1),
                conv_bn_relu(wide, wide, 5, groups=wide),
                conv_bn_relu(wide, channels, 1),
            )
            for wide in (channels // 2, channels, 2 * channels) * 2
        )
    )


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {"conv": conv, "mbconv": mbconv, "bconv": bconv}


class Cell(nn.Module):
    """A small graph of operations, all at the same width and size.

    Args:
        vector: `[[op1], [op2, prev, inp, sc], ...]`, see `blockzoo.nas.space.cells`.
        operations: what makes each operation, from a width.
        channels: the width.
        doubled_input: node 1 gets the cell's input twice (x + x), as an early release of the benchmark trained it.
    """

    def __init__(
        self,
        vector: Sequence[Sequence[int]],
        operations: Sequence[Callable[[int], nn.Module]],
        channels: int,
        *,
        doubled_input: bool = False,
    ) -> None:
        super().__init__()
        self.first_scale = 2 if doubled_input else 1
        reads, outputs = connections(vector)
        self.reads = reads
        self.outputs = outputs
        self.nodes = nn.ModuleDict({str(node): operations[vector[node - 1][0]](channels) for node in reads})

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        values = {0: x}
        for node, sources in self.reads.items():
            # two or more inputs are summed; a node shares nothing with what it reads, so in-place ReLUs are safe
            total = sum((values[source] for source in sources[1:]), values[sources[0]])
            values[node] = self.nodes[str(node)](
                total * self.first_scale if node == 1 and self.first_scale > 1 else total
            )
        return sum((values[node] for node in self.outputs[1:]), values[self.outputs[0]])


def connections(vector: Sequence[Sequence[int]]) -> tuple[dict[int, list[int]], list[int]]:
    """What each live node of a cell reads (0 is the input), in order, and the nodes that feed the output.

    Raises:
        ValueError: nothing leads from the input to the output.
    """
    reads: dict[int, list[int]] = {1: [0]}
    outputs = [len(vector)]
    for node, entry in enumerate(vector[1:], 2):
        *bits, shortcut = entry[1:]
        reads[node] = [source for source, on in zip([*range(node - 1, 0, -1), 0], bits, strict=True) if on]
        outputs += [node - 1] * shortcut
    fed = {0}
    for node in sorted(reads):
        reads[node] = [source for source in reads[node] if source in fed]
        fed |= {node} if reads[node] else set()
    needed = {node for node in outputs if node in fed}
    for node in sorted(reads, reverse=True):
        needed |= set(reads[node]) if node in needed else set()
    if not needed:
        raise ValueError(f"cell {list(vector)}: nothing leads from its input to its output")
    live = [node for node in sorted(reads) if node in needed and node in fed]
    return {node: reads[node] for node in live}, sorted(node for node in set(outputs) if node in live)


class Reduction(nn.Module):
    """Half the size, twice the channels: 3x3 stride 2 then 3x3, plus a 2x2 stride 2, cropped to equal size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.main = nn.Sequential(conv_bn_relu(channels, wide, 3, stride=2), conv_bn_relu(wide, wide, 3))
        self.shortcut = conv_bn_relu(channels, wide, 2, stride=2, padding=0)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C_out H_out W_out"]:
        main: torch.Tensor = self.main(x)
        shortcut: torch.Tensor = self.shortcut(x)
        height, width = (min(a, b) for a, b in zip(main.shape[-2:], shortcut.shape[-2:], strict=True))
        return main[..., :height, :width] + shortcut[..., :height, :width]


class Head(nn.Module):
    """Global average pooling and a linear layer."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        logits: torch.Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


class MacroNet(nn.Module):
    """A network of the macro space. Input (B, in_channels, H, W), output (B, num_classes).

    `.blocks` holds stem, then for each stage its cells and its reduction, then the head: applied one after the other
    they are the forward pass.

    Args:
        arch_vec: one cell vector per stage.
        num_classes, in_channels: of the data.
        width: channels of the stem and the first stage; each reduction doubles them.
        cells_per_stage: copies of the stage's cell.
        operations: what makes each operation from a width, in the order of the vector's numbers.
    """

    def __init__(
        self,
        arch_vec: Sequence[Sequence[Sequence[int]]],
        num_classes: int = 100,
        *,
        in_channels: int = 3,
        width: int = STEM_WIDTH,
        cells_per_stage: int = 1,
        operations: Sequence[Callable[[int], nn.Module]] = tuple(OPERATIONS.values()),
    ) -> None:
        super().__init__()
        self.arch_vec = [[list(node) for node in cell] for cell in arch_vec]
        parts: list[nn.Module] = [conv_bn_relu(in_channels, width, 3)]
        channels = width
        for cell in self.arch_vec:
            parts += [Cell(cell, operations, channels) for _ in range(cells_per_stage)]
            parts.append(Reduction(channels))
            channels *= 2
        parts.append(Head(channels, num_classes))
        self.blocks = nn.ModuleList(parts)

    def forward(
        self, x: Float[torch.Tensor, "B C H W"], return_features: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        """Logits; with `return_features` also the input and output of each block, for distillation."""
        features = []
        for block in self.blocks:
            inputs, x = x, block(x)
            features.append((inputs, x))
        return (x, features) if return_features else x
