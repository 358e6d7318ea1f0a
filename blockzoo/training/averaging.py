"""The exponential moving average of a network's weights, and the batch norm statistics that belong to it.

Averages of the statistics beside the weights would be free, but they are of other networks: those that the weights were averaged
over. While the learning rate is high they are far off (tests/training/test_averaging.py shows by how much), so the statistics of
the average are taken from training images, each time before it is evaluated.

The average is kept beside the network and changes places with it, rather than in a copy of the network: a copy of a layer whose
`forward` was replaced still computes with the original's weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

if TYPE_CHECKING:
    from jaxtyping import Shaped

    from blockzoo.training.loaders import Batches

STATISTICS_IMAGES = 1024
"""Training images that statistics are taken from, of all ranks together."""


class Average:
    """Of the tensors that a network's `state_dict` holds, over training steps: after t steps with values w the average is

        (1 - decay) / (1 - decay ** t) * sum of decay ** (t - i) * w_i over i = 1 ... t,

    so that the values at the start, which are not among the w, have no part in it. Whole numbers are the last ones.

    Source: Polyak and Juditsky, 1992; the correction as in Kingma and Ba, Adam, 2015.

    Args:
        network: it is changed by `exchange` alone.
        decay: above 0 and below 1; steps further back than 1 / (1 - decay) count little.

    Attributes:
        steps: that were averaged over.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self.steps = 0
        self._values: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is after a step."""
        self.steps += 1
        of_network = self._of_network()
        if self.steps == 1:
            self._values = copied(of_network)
            return
        own = self._at_hand(of_network)
        share = (1 - self._decay) / (1 - self._decay**self.steps)
        fractions = [
            name for name, value in of_network.items() if value.is_floating_point() or value.is_complex()
        ]
        torch._foreach_lerp_([own[n] for n in fractions], [of_network[n].detach() for n in fractions], share)
        for name in of_network.keys() - set(fractions):
            own[name].copy_(of_network[name])

    @torch.no_grad()
    def exchange(self) -> None:
        """The network becomes the average, and what it was is kept; the next time they change back. Nothing before a step."""
        if not self.steps:
            return
        of_network = self._of_network()
        for name, own in self._at_hand(of_network).items():
            before = of_network[name].detach().clone()
            of_network[name].copy_(own)
            own.copy_(before)

    def go_on_from(self, values: Mapping[str, torch.Tensor], steps: int) -> None:
        """As a checkpoint has it.

        Args:
            values: by the names of the network's `state_dict`.
            steps: that they are the average over.
        """
        self.steps = steps
        self._values = {name: values[name].detach().clone() for name in self._of_network()}

    def _of_network(self) -> dict[str, Shaped[torch.Tensor, ...]]:
        """The network's own tensors, each once though several layers may share it."""
        held: dict[int, tuple[str, torch.Tensor]] = {}
        for name, value in self._network.state_dict(keep_vars=True).items():
            if isinstance(value, torch.Tensor):
                held.setdefault(id(value), (name, value))
        return dict(held.values())

    def _at_hand(self, of_network: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The average, where the network is: it may have been read from a file."""
        for name, value in of_network.items():
            self._values[name] = self._values[name].to(value.device)
        return self._values


def copied(values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The same values, in memory of their own."""
    return {name: value.detach().clone() for name, value in values.items() if isinstance(value, torch.Tensor)}


def take_statistics(network: nn.Module, batches: Batches, ranks: int = 1) -> None:
    """Make the running means and variances of all batch norms those of some training images, as the network now is.

    Each is the mean over batches of what the norm computed of a batch in training mode; a network without batch norms makes no
    pass. Source: Izmailov et al., Averaging weights leads to wider optima, UAI 2018.

    Args:
        network: in any mode, which it keeps; nothing else of it changes, but for what its own layers change in training mode.
        batches: of training images (B, C, H, W) and labels, with their `batch_size`; the first ones are used.
        ranks: that each take as many, of batches of their own.
    """
    count = max(1, math.ceil(STATISTICS_IMAGES / (batches.batch_size * ranks)))
    first = itertools.islice(batches, count)
    update_bn(([images] for images, _ in first), network)
