"""Widths and depths that budgets give: against counting every width, and for every block of the zoo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockzoo.core.budget import Budget
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.measure.budgets import check_budget, fitted, stage_costs
from blockzoo.models.scaffold import ScaffoldNet
from blockzoo.profile import profile_block
from blockzoo.trials.preflight import known_before
from tests.sampled import sampled

SHAPE = (1, 3, 32, 32)


def network(subject: str, **scaffold: object) -> NetworkSpec:
    return NetworkSpec(subject, **{"base_channels": 16, "num_blocks": 2} | scaffold)  # type: ignore[arg-type]


def test_the_costs_of_a_stage_are_those_of_its_profile() -> None:
    given = network("GhostBottleneck/late")
    profiled = profile_block(given.subject, **given.scaffold).stage
    assert profiled is not None
    assert stage_costs(given, SHAPE).macs == profiled.macs
    assert stage_costs(given, SHAPE).params_total == profiled.params_total


def test_the_reference_is_its_own_budget() -> None:
    made = fitted(network("ResNetBasicBlock/mid"), Budget("iso-macs"), SHAPE)
    assert (made.active_width, made.active_blocks, made.budget_ratio) == (1.0, 2, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("track", ["iso-macs", "iso-params"])
@pytest.mark.parametrize("amount", sampled([0.3, 1.0, 2.5], 1))
@pytest.mark.parametrize(
    "subject", sampled(["GhostBottleneck/mid", "InvertedResidual/early", "ResNetBasicBlock/late"], 1)
)
def test_no_other_width_of_that_depth_is_nearer(subject: str, track: str, amount: float) -> None:
    """By counting all of them, on the network itself."""
    budget = Budget(track, amount)  # type: ignore[arg-type]
    made = fitted(network(subject), budget, SHAPE)
    position, held = subject.partition("/")[2], budget.held
    reference = getattr(stage_costs(network(f"ResNetBasicBlock/{position}"), SHAPE), held)
    usual = 16 * (1, 2, 4)[POSITIONS.index(position)]

    def ratio(width: int) -> float:
        wide = replace(network(subject), active_width=width / usual, active_blocks=made.active_blocks)
        return float(getattr(stage_costs(wide, SHAPE), held)) / (amount * reference)

    ratios = {width: ratio(width) for width in range(1, 6 * usual)}
    found = round(made.active_width * usual)
    assert made.budget_ratio == ratios[found]
    assert ratios[found] in sorted(ratios.values(), key=lambda r: max(r, 1 / r))[:1]
    assert amount != 1 or budget.is_met_by(ratios[found])
    stage = ScaffoldNet(subject.partition("/")[0], position, seed=0, **made.scaffold).active_stage
    assert len(stage) == made.active_blocks


@pytest.mark.slow
def test_a_block_with_heads_of_32_channels_keeps_them() -> None:
    made = fitted(network("EfficientViTMITBlock/mid", base_channels=32), Budget("iso-macs", 1.0), SHAPE)
    assert known_before(made, SHAPE[1:]).values["stage_macs"] > 0


def test_depth_helps_where_widths_are_too_far_apart() -> None:
    made = fitted(network("DYMicroBlock/early", num_blocks=3), Budget("iso-params"), SHAPE)
    assert made.active_blocks != 3 and Budget("iso-params").is_met_by(float(made.budget_ratio or 0))


def test_what_cannot_be_met_says_so_in_its_row() -> None:
    made = fitted(network("MobileViTBlock/early"), Budget("iso-macs", 0.1), SHAPE)
    assert made.budget_ratio is not None and made.budget_ratio > 1.5
    (reason,) = known_before(made, SHAPE[1:]).reasons
    assert "iso-macs 0.1" in reason and "times as much" in reason


def test_an_absolute_budget() -> None:
    made = fitted(network("ResNetBasicBlock/mid"), Budget("iso-macs", 0.5, "4e6"), SHAPE)
    assert stage_costs(made, SHAPE).macs == pytest.approx(2e6, rel=0.02)


@pytest.mark.mutation("budget")
def test_a_ratio_that_is_not_so_fails_the_trial() -> None:
    made = fitted(network("GhostBottleneck/mid"), Budget("iso-macs"), SHAPE)
    known_before(made, SHAPE[1:])
    for wrong in (replace(made, budget_ratio=1.0), replace(made, active_width=2 * made.active_width)):
        with pytest.raises(CheckFailed, match="check 'budget' failed"):
            known_before(wrong, SHAPE[1:])
    with pytest.raises(CheckFailed):
        check_budget(made, stage_costs(made, SHAPE).macs, (1, 3, 28, 28))  # images of another size


def test_what_is_given_no_budget() -> None:
    given = network("ResNetBasicBlock/mid", base_channels=8)
    with pytest.raises(UsageError, match="whole network"):
        fitted(replace(given, subject="timm:resnet18"), Budget("iso-macs"), SHAPE)
    with pytest.raises(UsageError, match="leave out --active-width"):
        fitted(replace(given, active_width=0.5), Budget("iso-macs"), SHAPE)


def test_a_time_is_measured_beside_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which a stage takes its multiply-adds."""
    seen = []

    def clock(modules: dict, *, seconds: float) -> tuple[dict[str, list[float]], dict]:
        seen.append(sorted(modules))
        times = {}
        for name, (module, _) in modules.items():
            times[name] = [float(sum(p.numel() for p in module.parameters()))] * 3
        return times, {}

    monkeypatch.setattr("blockzoo.measure.budgets.time_modules", clock)
    made = fitted(network("GhostBottleneck/mid"), Budget("iso-latency"), SHAPE)
    assert set(map(tuple, seen)) == {("candidate", "candidate, whole", "reference", "reference, whole")}
    assert Budget("iso-latency").is_met_by(float(made.budget_ratio or 0))
    params = profile_block("ResNetBasicBlock/mid", base_channels=16, num_blocks=2).stage
    assert params is not None
    absolute = fitted(network("ResNetBasicBlock/mid"), Budget("iso-latency", 1.0, "5000"), SHAPE)
    assert absolute.budget_ratio == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("block", BLOCKS.names())
def test_every_block_is_given_its_budget_or_the_row_says_why_not(block: str, position: str) -> None:
    budget = Budget("iso-macs")
    made = fitted(NetworkSpec(f"{block}/{position}"), budget, SHAPE)
    known = known_before(made, SHAPE[1:])
    off = [reason for reason in known.reasons if "times as much" in reason]
    assert bool(off) != budget.is_met_by(float(made.budget_ratio or 0))
    assert 0.9 < float(made.budget_ratio or 0) < 1.1
