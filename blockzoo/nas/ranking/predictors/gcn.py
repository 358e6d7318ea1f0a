"""A graph network that ranks architectures: it learns from pairs which of two is better.

Source: Dudziak et al., BRP-NAS, NeurIPS 2020.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.nas.space.graphs import graph_of
from blockzoo.nas.space.macro import Indices, MacroSpace

Values = npt.NDArray[np.float64]


class GraphPredictor:
    """Fits a score whose differences tell the better of two networks; `predict` gives scores, not accuracies.

    Args:
        space: where indices are looked up.
        width: of the hidden layers.
        layers: graph convolutions.
        epochs: passes over all pairs of the networks fitted to.
    """

    def __init__(
        self,
        space: MacroSpace,
        *,
        width: int = 64,
        layers: int = 4,
        epochs: int = 40,
        lr: float = 3e-3,
        seed: int = 0,
    ) -> None:
        self.space, self.epochs, self.lr, self.seed = space, epochs, lr, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _GraphNetwork(label_count(space), width, layers)

    def fit(self, indices: Indices, targets: Values) -> GraphPredictor:
        """Fit to networks (N,) and what is to be maximised (N,)."""
        graphs = _batch(self.space, indices)
        truth = torch.tensor(np.asarray(targets, np.float32))
        generator = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.AdamW(self.network.parameters(), self.lr, weight_decay=5e-4)
        n = len(indices)
        for _ in range(self.epochs):
            scores = self.network(*graphs)
            order = torch.randperm(n, generator=generator)
            margins = scores[:, None] - scores[order][None, :]
            better = torch.sigmoid((truth[:, None] - truth[order][None, :]) / truth.std().clamp_min(1e-6) * 4)
            loss = F.binary_cross_entropy_with_logits(margins, better)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return self

    @torch.no_grad()
    def predict(self, indices: Indices, block: int = 4096) -> Values:
        """(N,): scores of networks, larger for better ones."""
        parts = [
            self.network(*_batch(self.space, indices[i : i + block])).double().numpy()
            for i in range(0, len(indices), block)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)


class _GraphNetwork(nn.Module):
    """Graph convolutions over neighbours in both directions, the mean over vertices, a score."""

    def __init__(self, labels: int, width: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Embedding(labels + 1, width, padding_idx=labels)
        self.own = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.before = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.after = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.score = nn.Linear(width, 1)

    def forward(self, labels: torch.Tensor, adjacency: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.first(labels)
        for own, before, after in zip(self.own, self.before, self.after, strict=True):
            x = F.relu(own(x) + adjacency.mT @ before(x) + adjacency @ after(x)) + x
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        scores: torch.Tensor = self.score(mean)
        return scores[:, 0]


def label_count(space: MacroSpace) -> int:
    """Labels of vertices: operations and a reduction per stage, input and output."""
    return (len(space.ops) + 1) * space.stages + 2


@cache
def _graph(space: MacroSpace, index: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    graph = graph_of(index, space)
    return tuple(int(label) + 2 for label in graph.labels), graph.edges


def _batch(space: MacroSpace, indices: Indices) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels (N, V), adjacency (N, V, V) and mask (N, V) of graphs padded to V vertices."""
    vertices = 2 + (space.nodes + 1) * space.stages
    padding = label_count(space)
    labels = np.full((len(indices), vertices), padding)
    adjacency = np.zeros((len(indices), vertices, vertices), np.float32)
    for row, index in enumerate(indices.tolist()):
        own, edges = _graph(space, index)
        labels[row, : len(own)] = own
        for a, b in edges:
            adjacency[row, a, b] = 1
    labels_ = torch.from_numpy(labels)
    return labels_, torch.from_numpy(adjacency), (labels_ != padding).float()
