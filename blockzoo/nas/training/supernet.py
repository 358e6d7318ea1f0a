"""One network that holds the whole space: every operation at every node and stage once, shared by all networks.

Trained by sampling single paths, it ranks networks by their accuracy with shared weights; with a mixture instead of a path it
is differentiable in the architecture, and gradient descent searches it (as DARTS does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.progress import followed
from blockzoo.models.agreement import deviation
from blockzoo.models.macro import Head, Reduction, connections, conv_bn_relu
from blockzoo.nas.options import PUBLISHED_WIDTH, Teaching
from blockzoo.nas.space.macro import Architecture, MacroSpace
from blockzoo.nas.space.published import published_space
from blockzoo.nas.training.distillation import Batches
from blockzoo.nas.training.networks import build, operation

if TYPE_CHECKING:
    from jaxtyping import Float


class SharedCell(nn.Module):
    """A cell with every operation at every node, of which a vector uses some.

    Args:
        space: gives operations and nodes.
        channels: the width.
    """

    def __init__(self, space: MacroSpace, channels: int) -> None:
        super().__init__()
        makers = [operation(name) for name in space.ops]
        self.nodes = nn.ModuleList(
            nn.ModuleList(make(channels) for make in makers) for _ in range(space.nodes)
        )
        self.op_logits = nn.Parameter(torch.zeros(space.nodes, len(makers)))
        reads = sum(node for node in range(2, space.nodes + 1))
        self.edge_logits = nn.Parameter(torch.zeros(reads + space.nodes - 1))

    def operations(self, node: int) -> nn.ModuleList:
        """The operations of a node, counted from 1, in the order of the space."""
        operations = self.nodes[node - 1]
        assert isinstance(operations, nn.ModuleList)
        return operations

    def path(
        self, x: Float[torch.Tensor, "B C H W"], vector: Sequence[Sequence[int]]
    ) -> Float[torch.Tensor, "B C H W"]:
        """The cell that `vector` describes."""
        reads, outputs = connections(vector)
        values = {0: x}
        for node, sources in reads.items():
            total = sum((values[s] for s in sources[1:]), values[sources[0]])
            values[node] = self.operations(node)[vector[node - 1][0]](total)
        return sum((values[node] for node in outputs[1:]), values[outputs[0]])

    def mixture(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        """All of them at once: operations weighed by a softmax, connections by a sigmoid.

        The last node always feeds the output, as in every vector.
        """
        mix, gates = self.op_logits.softmax(1), self.edge_logits.sigmoid()
        values, at, output = [x, self._mixed(1, x, mix)], 0, torch.zeros_like(x)
        for node in range(2, len(self.nodes) + 1):
            sources = [*range(node - 1, 0, -1), 0]
            total = _sum(gates[at + i] * values[source] for i, source in enumerate(sources))
            at += len(sources)
            output = output + gates[at] * values[node - 1]
            at += 1
            values.append(self._mixed(node, total, mix))
        return output + values[-1]

    def _mixed(self, node: int, x: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        return _sum(mix[node - 1, i] * operation(x) for i, operation in enumerate(self.operations(node)))

    def derived(self) -> list[int]:
        """The flat vector of the heaviest operations, and of connections with more than half of their weight."""
        ops = self.op_logits.argmax(1).tolist()
        gates, at = (self.edge_logits > 0).int().tolist(), 0
        flat = [ops[0]]
        for node in range(2, len(self.nodes) + 1):
            flat += [ops[node - 1], *gates[at : at + node + 1]]
            at += node + 1
        return flat


def _sum(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Of one tensor or more."""
    return cast(torch.Tensor, sum(tensors))


class Supernet(nn.Module):
    """Stem, a shared cell and a reduction per stage, head. Input (B, 3, H, W), output (B, num_classes).

    Args:
        space: the networks in it.
        num_classes: of the data.
        width: channels of the first stage.
    """

    def __init__(
        self, space: MacroSpace | None = None, num_classes: int = 10, width: int = PUBLISHED_WIDTH
    ) -> None:
        super().__init__()
        self.space = space or published_space()
        self.stem = conv_bn_relu(3, width, 3)
        widths = [width * 2**stage for stage in range(self.space.stages)]
        self.cells = nn.ModuleList(SharedCell(self.space, channels) for channels in widths)
        self.reductions = nn.ModuleList(Reduction(channels) for channels in widths)
        self.head = Head(2 * widths[-1], num_classes)

    @property
    def _shared_cells(self) -> list[SharedCell]:
        return [cell for cell in self.cells if isinstance(cell, SharedCell)]

    def forward(
        self, x: Float[torch.Tensor, "B C H W"], arch: Architecture | None = None
    ) -> Float[torch.Tensor, "B classes"]:
        """Logits of one network of the space, or with no `arch` of the mixture of all."""
        x = self.stem(x)
        vectors = [None] * self.space.stages if arch is None else self.space.arch_vec(arch)
        for cell, reduction, vector in zip(self._shared_cells, self.reductions, vectors, strict=True):
            x = reduction(cell.mixture(x) if vector is None else cell.path(x, vector))
        logits: torch.Tensor = self.head(x)
        return logits

    def network(self, arch: Architecture) -> nn.Module:
        """One network of the space by itself, with a copy of the weights and statistics that it has here."""
        head = self.head.classifier
        alone = build(arch, head.out_features, space=self.space, width=self.stem[0].out_channels)  # type: ignore[arg-type]
        stem, *stages, last = alone.blocks  # type: ignore[misc]
        pairs = [(stem, self.stem), (last, self.head), *zip(stages[1::2], self.reductions, strict=True)]
        for cell, shared, vector in zip(
            stages[::2], self._shared_cells, self.space.arch_vec(arch), strict=True
        ):
            for node, module in cell.nodes.items():
                pairs.append((module, shared.operations(int(node))[vector[int(node) - 1][0]]))
        for own, source in pairs:
            own.load_state_dict(source.state_dict())
        return alone.train(self.training)

    def architecture_parameters(self) -> list[nn.Parameter]:
        """The logits of operations and connections."""
        return [p for cell in self._shared_cells for p in (cell.op_logits, cell.edge_logits)]

    def weights(self) -> list[nn.Parameter]:
        """All other parameters."""
        logits = {id(p) for p in self.architecture_parameters()}
        return [p for p in self.parameters() if id(p) not in logits]

    def derived(self) -> int | None:
        """The index of the network that the logits prefer; None where it has no path from input to output."""
        return self.space.index([x for cell in self._shared_cells for x in cell.derived()])


Report = Callable[[int, float], None]


def train_paths(
    supernet: Supernet,
    batches: Batches,
    epochs: int,
    *,
    lr: float = Teaching.lr,
    seed: int = 0,
    report: Report | None = None,
) -> None:
    """Train shared weights: each step one network, each unique network as likely as any other.

    Source: Guo et al., Single path one-shot, ECCV 2020.
    """
    rng = np.random.default_rng(seed)
    count = len(supernet.space)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(supernet(x, int(rng.integers(count))), y)

    _train(supernet.weights(), step, batches, epochs, lr, report)


def search_by_gradient(
    supernet: Supernet,
    batches: Batches,
    validation: Batches,
    epochs: int,
    *,
    lr: float = Teaching.lr,
    architecture_lr: float = 3e-3,
    report: Report | None = None,
) -> int | None:
    """Alternate steps on weights (training images) and on the architecture (validation images); the index it ends at.

    First order. Source: Liu et al., DARTS, ICLR 2019.
    """
    architecture = torch.optim.Adam(
        supernet.architecture_parameters(), architecture_lr, betas=(0.5, 0.999), weight_decay=1e-3
    )
    turning = _endless(validation)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        held_x, held_y = next(turning)
        architecture.zero_grad()
        F.cross_entropy(supernet(held_x), held_y).backward()
        architecture.step()
        return F.cross_entropy(supernet(x), y)

    _train(supernet.weights(), step, batches, epochs, lr, report)
    return supernet.derived()


def _train(
    weights: list[nn.Parameter], step: Any, batches: Batches, epochs: int, lr: float, report: Report | None
) -> None:
    if epochs < 1:
        raise UsageError(f"epochs {epochs}: give 1 or more")
    optimizer = torch.optim.SGD(weights, lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in followed(range(epochs), "training the supernet", epochs, "epochs"):
        total, n = 0.0, 0
        for x, y in batches:
            loss = step(x, y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 5.0)
            optimizer.step()
            schedule.step()
            total, n = total + float(loss.detach()), n + 1
        if report is not None:
            report(epoch + 1, total / max(1, n))


def _endless(batches: Batches) -> Any:
    while True:
        yield from batches


@torch.no_grad()
def shared_accuracy(supernet: Supernet, index: int, calibration: Batches, validation: Batches) -> float:
    """Accuracy of one network with shared weights, 0..1, its batch norms measured anew on `calibration`."""
    norms = [m for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    supernet.train()
    for x, _ in calibration:
        supernet(x, index)
    supernet.eval()
    path_of_supernet(supernet, index, next(iter(validation))[0][:2])
    hits = [(supernet(x, index).argmax(1) == y).float() for x, y in validation]
    for norm in norms:
        norm.momentum = 0.1
    return float(torch.cat(hits).mean())


@CHECKS.register("shared-weights")
def path_of_supernet(supernet: Supernet, index: int, images: Float[torch.Tensor, "B C H W"]) -> float:
    """The logits of a network inside a supernet, with those of that network built by itself with the same weights.

    Catches: an operation, a connection or a stage that is taken from another network; weights that a path does not use.

    Tolerance: 1e-4 of the largest logit.

    Cost: building the network and two passes of two images, for each network that is ranked; at width 16, 50 ms of one core (AMD
    EPYC).
    """
    apart = deviation(supernet.network(index)(images), supernet(images, index))
    if not apart <= 1e-4:
        raise CheckFailed(
            f"macro:{index} inside the supernet and by itself differ by {apart:.1g} of the largest logit"
        )
    return apart
