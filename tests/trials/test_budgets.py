"""Sweeps at equal budgets: what they train, what they store, and that they go on as they began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.execution.progress import SilentProgress
from blockzoo.sweep import run_sweep
from blockzoo.trials.budgets import KIND
from tests.designing import SMALL


@pytest.mark.slow
def test_two_budgets_of_two_blocks(tmp_path: Path) -> None:
    made = run_sweep(
        ["ResNetBasicBlock", "GhostBottleneck"],
        "mid",
        1,
        track="iso-macs",
        budgets=(1, 2),
        output=tmp_path,
        **SMALL,
    )
    assert [row["status"] for row in made.rows] == 4 * ["ok"]
    assert {row["budget"] for row in made.rows} == {"iso-macs 1", "iso-macs 2"}
    of = {(row["block"], row["budget"]): row for row in made.rows}
    for budget, amount in (("iso-macs 1", 1), ("iso-macs 2", 2)):
        one, other = of["ResNetBasicBlock", budget], of["GhostBottleneck", budget]
        assert one["comparable"] == other["comparable"]
        for row in (one, other):
            wanted = amount * of["ResNetBasicBlock", "iso-macs 1"]["stage_macs"]
            assert row["budget_ratio"] == pytest.approx(row["stage_macs"] / wanted)
            assert (abs(row["budget_ratio"] - 1) <= 0.02) != ("times as much" in row["reason"])
    again = run_sweep(
        ["ResNetBasicBlock", "GhostBottleneck"],
        "mid",
        1,
        track="iso-macs",
        budgets=(1, 2),
        output=tmp_path,
        **SMALL,
    )
    assert not again.plan.pending


@pytest.mark.slow
def test_a_width_that_was_timed_is_not_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time the clock says something else, and the sweep is the same one."""
    times = {"scale": 1.0}

    def clock(modules: dict, *, seconds: float) -> tuple[dict[str, list[float]], dict]:
        sizes = {name: float(sum(p.numel() for p in m.parameters())) for name, (m, _) in modules.items()}
        return {n: [size * (times["scale"] if n == "candidate" else 1)] * 3 for n, size in sizes.items()}, {}

    monkeypatch.setattr("blockzoo.measure.budgets.time_modules", clock)
    asked: dict[str, Any] = {"track": "iso-latency", "output": tmp_path, **SMALL}
    first = run_sweep(["GhostBottleneck"], "mid", 1, **asked)
    times["scale"] = 0.25
    second = run_sweep(["GhostBottleneck"], "mid", 1, **asked)
    assert not second.plan.pending and second.rows == first.rows
    assert len(list(Outputs.at(tmp_path).store().records(KIND))) == 1


def test_a_plan_leaves_nothing_behind(tmp_path: Path) -> None:
    made = run_sweep(
        ["GhostBottleneck"], "mid", 1, track="iso-macs", dry_run=True, output=tmp_path / "there", **SMALL
    )
    assert made.plan.pending[0].network.budget == "iso-macs 1" and not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"budgets": (0.5,)}, "give --track"),
        ({"track": "iso-macs", "against": "Nothing"}, "Nothing"),
        ({"track": "iso-macs", "against": "-3"}, "positive number"),
        ({"track": "iso-macs", "active_width": 2.0}, "leave out --active-width"),
        (
            {"track": "iso-macs", "budgets": (1.0, 1e-6)},
            "the nearest is GhostBottleneck/mid, at .* ask for about 0",
        ),
    ],
)
def test_bad_input(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        run_sweep(["GhostBottleneck"], "mid", 1, output=tmp_path, **asked, **SMALL)


def test_a_plan_names_what_misses_its_budget(tmp_path: Path) -> None:
    phases: list[str] = []

    class Heard(SilentProgress):
        def phase(self, name: str) -> None:
            phases.append(name)

    blocks = ["ResNetBasicBlock", "GhostBottleneck", "MobileAttention"]
    run_sweep(blocks, "early", 1, track="iso-macs", dry_run=True, progress=Heard(), output=tmp_path, **SMALL)
    (told,) = phases
    assert told.startswith("iso-macs 1: these cost so many times as much: MobileAttention/early ")
    assert told.endswith(", in no verdict") and "ResNetBasicBlock" not in told


def test_a_whole_network_has_no_budget(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resnet20 is a whole network"):
        run_sweep(["model:resnet20", "GhostBottleneck"], "mid", 1, track="iso-macs", output=tmp_path, **SMALL)
