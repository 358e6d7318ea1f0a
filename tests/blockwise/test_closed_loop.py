"""What is chosen from coupling maps: values by hand, and partitions of blocks that belong together."""

from __future__ import annotations

import numpy as np
import pytest

from blockzoo.blockwise.closed_loop import as_text, choose, clustered
from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.curvature.coupling import CouplingMap, coupling_map
from blockzoo.blockwise.partition import make_partition
from blockzoo.core.errors import UsageError
from blockzoo.models.feedforward import FeedForward
from tests.blockwise.engines.test_engines import frame


def test_choices_from_a_coupling_map_by_hand() -> None:
    run = frame("jacobi")
    coupling = coupling_map(run.model, run.criterion, run.probe(1, 16), run.partition)
    choice = choose(coupling)
    off = coupling.sigma - np.diag(np.diag(coupling.sigma))
    strongest = np.sqrt((off**2).sum(1)).max()
    assert choice.prox_lambda == pytest.approx((np.sqrt(3) * strongest,) * 3)
    for own, step, k in zip(np.diag(coupling.sigma), choice.step_size, choice.k, strict=True):
        smooth = own + choice.prox_lambda[0]
        assert step == pytest.approx(1 / smooth)
        rate = 1 - choice.prox_lambda[0] / smooth
        assert rate**k <= 0.1 < rate ** (k - 1) or k == 1
    chosen = frame("jacobi", prox_lambda=choice.prox_lambda, step_size=choice.step_size, k=choice.k)
    before = chosen.evaluate(chosen.train)["loss"]
    for turn in range(10):
        chosen.round = turn
        ENGINES["jacobi"]().run(chosen)
    assert chosen.evaluate(chosen.train)["loss"] < before


def test_strongly_coupled_blocks_are_merged() -> None:
    model = FeedForward(12, [5, 5, 5], 4)
    partition = make_partition(model, "blocks")
    sigma = np.array([[1, 0.1, 0.8, 0.1], [0.1, 4, 0.2, 3.0], [0.8, 0.2, 1, 0.1], [0.1, 3.0, 0.1, 4]])
    coupling = CouplingMap(sigma, sigma, 0 * sigma, sigma, 0, partition.labels, (1,) * 4, sigma > 0, 0.0, [])
    merged = clustered(partition, coupling, 2)
    assert merged.names == (
        partition.names[0] + partition.names[2],
        partition.names[1] + partition.names[3],
    )
    again = make_partition(model, as_text(merged))
    assert [set(n) for n in again.names] == [set(n) for n in merged.names]
    assert len(clustered(partition, coupling, 4)) == 4 and len(clustered(partition, coupling, 1)) == 1
    with pytest.raises(UsageError, match="1 to 4"):
        clustered(partition, coupling, 5)
