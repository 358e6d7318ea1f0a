"""From measured coupling to a run: proximal weights, learning rates, K, and a partition of blocks that belong together."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from blockzoo.blockwise.curvature.coupling import CouplingMap
from blockzoo.blockwise.partition import Partition
from blockzoo.blockwise.run.options import Options
from blockzoo.core.errors import UsageError

SMALLEST = 1e-12


@dataclass(frozen=True)
class Choice:
    """What a coupling map suggests, one value per block.

    Args:
        prox_lambda: sqrt(B) max_i L_i, with L_i = ||H_i,-i||: the proximal term outweighs what all other blocks do to a gradient.
        step_size: 1 / (||H_ii|| + lambda), the inverse smoothness of the local problem.
        k: steps after which gradient descent on a quadratic between lambda and ||H_ii|| + lambda has come down to `delta`.
    """

    prox_lambda: tuple[float, ...]
    step_size: tuple[float, ...]
    k: tuple[int, ...]

    def applied(self, options: Options) -> Options:
        """The options with these values."""
        return replace(options, prox_lambda=self.prox_lambda, step_size=self.step_size, k=self.k)


def choose(measured: CouplingMap, delta: float = 0.1, most_k: int = 50, share: float = 1.0) -> Choice:
    """Proximal weights, learning rates and K from a map.

    Args:
        measured: the coupling map of the network.
        delta: by how much the local steps should reduce the gradient of the local problem.
        most_k: K at most.
        share: of the proximal weight, where the bound is too careful (1: the bound itself).
    """
    strongest = float(measured.row_bounds()[1].max())
    weight = max(share * math.sqrt(len(measured.labels)) * strongest, SMALLEST)
    steps, counts = [], []
    for own in np.diag(measured.sigma):
        smoothness = float(own) + weight
        steps.append(1 / smoothness)
        rate = 1 - weight / smoothness
        counts.append(1 if rate <= delta else min(most_k, math.ceil(math.log(delta) / math.log(rate))))
    return Choice((weight,) * len(steps), tuple(steps), tuple(counts))


def clustered(partition: Partition, measured: CouplingMap, groups: int) -> Partition:
    """Blocks that are strongly coupled, merged into so many groups.

    Coupling is measured relative to the blocks' own curvature, sigma_ij / sqrt(sigma_ii sigma_jj); groups are merged by average
    linkage, the two with the strongest mean coupling first; of equal ones (blocks without any coupling) the first two. scipy's
    `linkage` gives the same groups where no two are equal, and others where some are.

    Raises:
        UsageError: more groups than blocks, or none.
    """
    count = len(partition)
    if not 1 <= groups <= count:
        raise UsageError(f"{groups} groups of {count} blocks: give 1 to {count}")
    own = np.sqrt(np.maximum(np.diag(measured.sigma), SMALLEST))
    coupling = measured.sigma / own[:, None] / own[None, :]
    members = [[i] for i in range(count)]
    while len(members) > groups:
        pairs = [(a, b) for b in range(len(members)) for a in range(b)]
        means = [float(coupling[np.ix_(members[a], members[b])].mean()) for a, b in pairs]
        a, b = pairs[int(np.argmax(means))]
        members[a] = sorted([*members[a], *members.pop(b)])
    members.sort()
    return Partition(
        tuple(" + ".join(partition.labels[i] for i in group) for group in members),
        tuple(tuple(name for i in group for name in partition.names[i]) for group in members),
    )


def as_text(partition: Partition) -> str:
    """The partition as the text that `make_partition` reads."""
    return ";".join(
        f"{label.replace('=', ' ').replace(';', ' ')}={'|'.join(map(re.escape, names))}"
        for label, names in partition
    )
