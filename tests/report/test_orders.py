"""Orders of networks by several ways of timing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from blockzoo.cli import main
from blockzoo.core.record import Record
from blockzoo.core.store import Store
from blockzoo.report.orders import orders, stored_orders


def times(medians: list[float], rounds: int = 40, noise: float = 0.01) -> dict[str, list[float]]:
    draw = random.Random(0)
    return {
        f"net{i}": [value * (1 + noise * draw.gauss(0, 1)) for _ in range(rounds)]
        for i, value in enumerate(medians)
    }


def test_tau_is_that_of_the_medians() -> None:
    one, other = times([1, 2, 3, 4, 5]), times([1, 3, 2, 5, 4])
    (agreement,) = orders({"eager, fp32": one, "compile, fp32": other})
    wanted = kendalltau(*([np.median(of) for of in way.values()] for way in (one, other))).statistic
    assert agreement.tau == wanted and agreement.networks == 5
    assert agreement.interval == (agreement.tau, agreement.tau), "no order of clear times changes"
    assert "eager, fp32 and compile, fp32: +0.60 (+0.60 to +0.60) over 5 networks" in str(agreement)


def test_networks_whose_times_overlap_have_an_order_that_is_not_sure() -> None:
    (agreement,) = orders({"a": times([1.0, 1.01, 1.02, 3], noise=0.3), "b": times([1, 2, 3, 4])})
    assert agreement.interval is not None
    low, high = agreement.interval
    assert low < agreement.tau <= high == 1


def test_what_says_nothing_is_left_out() -> None:
    assert orders({"a": times([1, 2, 3]), "b": times([1, 2, 3])}) == [], "three networks"
    assert orders({"a": times([1, 2, 3, 4])}) == [], "one way"
    assert orders({"a": times([1, 2, 3, 4]), "b": {"other": [1.0] * 9}}) == [], "no networks in common"
    (few,) = orders({"a": times([1, 2, 3, 4], rounds=5), "b": times([4, 3, 2, 1], rounds=5)})
    assert few.interval is None and few.tau == -1 and "too few rounds" in str(few)


def test_times_of_a_store_by_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of five networks on two machines; a repeated time replaces the earlier one, stages are not mixed in."""
    store = Store(tmp_path / "results.sqlite")
    for machine, medians in (
        ("first", [5, 4, 3, 2, 1]),
        ("first", [1, 2, 3, 4, 5]),
        ("second", [1, 2, 3, 5, 4]),
    ):
        for i, (name, samples) in enumerate(times(medians).items()):
            record = Record("latency", f"{i:016x}", name, {})
            record.environment = {"timed_on": machine}
            record.samples = {"network_batch1_ms": samples, "stage_batch1_ms": samples[::-1]}
            store.add(record)
    (agreement,) = stored_orders(store.records("latency", history=True))[1]
    assert agreement.ways == ("first", "second") and round(agreement.tau, 2) == 0.8
    assert main(["results", str(tmp_path), "--orders"]) == 0
    printed = capsys.readouterr().out
    assert (
        "+0.80" in printed and "by accuracy nothing is compared: an order of fewer than 4 blocks" in printed
    )
    (tmp_path / "other").mkdir()
    Store(tmp_path / "other" / "results.sqlite")
    assert main(["results", str(tmp_path / "other"), "--orders"]) == 2
    assert "timed in two ways" in capsys.readouterr().err
    assert main(["results", str(tmp_path), "--orders", "--markdown"]) == 2
    assert "leave out --markdown" in capsys.readouterr().err
