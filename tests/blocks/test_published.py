"""The variants behind earlier tables, against those tables and against counts by hand."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import torch

from blockzoo import ScaffoldNet
from blockzoo.models.merging import merge_branches
from blockzoo.profile import profile_block

ORACLES = Path(os.environ.get("BLOCKZOO_ORACLES", Path(__file__).parents[3] / "shared" / "oracles"))
TABLE = ORACLES / "blockzoo_profile.csv"


@pytest.mark.skipif(not TABLE.is_file(), reason=f"the table of earlier figures is not at {TABLE}")
def test_all_rows_of_the_earlier_table() -> None:
    rows = list(csv.DictReader(TABLE.open()))
    assert len(rows) == 30
    for row in rows:
        name, position = f"{row['block_class']}@published", row["position"]
        costs = profile_block(name, position, memory=False).network
        assert costs.params_total == int(row["params_total"]), (name, position)
        assert costs.params_trainable == int(row["params_trainable"]), (name, position)
        assert costs.params_trained == int(row["params_unreparam"]), (name, position)
        assert costs.flops == int(row["flop_counter_flops"]), (name, position)
        assert costs.params_total * 4 / 2**20 == float(row["memory_mb"])


def test_scaffold_of_the_earlier_table_by_hand() -> None:
    """ResNetBasicBlock@published: stem, nine blocks with a 1x1 projection each, head."""

    def block(i: int, o: int) -> int:
        return 9 * i * o + 9 * o * o + i * o + 3 * 2 * o  # two 3x3, the projection, three batch norms

    stem, head = 27 * 64 + 64 + 128, 256 * 10 + 10
    stages = [3 * block(64, 64), block(64, 128) + 2 * block(128, 128), block(128, 256) + 2 * block(256, 256)]
    net = ScaffoldNet(
        "ResNetBasicBlock@published", position="mid", num_blocks=3, base_channels=64, out_dim=10
    )
    assert sum(p.numel() for p in net.parameters()) == stem + sum(stages) + head == 4_505_866


def test_deployed_form_is_smaller_only_where_there_are_branches() -> None:
    with torch.device("meta"):
        for name, shrinks in (("ResNetBasicBlock", False), ("MobileOneBlock", True), ("RepMixer", True)):
            net = ScaffoldNet(name, "late")
            deployed = merge_branches(net)
            before, after = (sum(p.numel() for p in m.parameters()) for m in (net, deployed))
            assert (after < before) is shrinks
