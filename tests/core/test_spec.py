from __future__ import annotations

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec, TrialSpec


def test_all_faults_at_once() -> None:
    with pytest.raises(UsageError) as error:
        NetworkSpec("ResNetBasicBlock/mid", num_blocks=0, base_channels=-4, out_dim="ten")  # type: ignore[arg-type]
    for field in ("num_blocks=0", "base_channels=-4", "out_dim='ten'"):
        assert field in str(error.value)


@pytest.mark.parametrize(
    "values",
    [{"epochs": 0}, {"batch_size": 1}, {"lr": 0}, {"lr": float("nan")}, {"seed": -1}, {"limit_train": 0}],
)
def test_bad_values_are_named(values: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        TrialSpec(**values)


def test_a_block_needs_a_position() -> None:
    with pytest.raises(UsageError, match="ResNetBasicBlock/mid"):
        NetworkSpec("ResNetBasicBlock")


def test_fingerprints_are_those_of_the_request() -> None:
    base = TrialSpec()
    assert base.fingerprint() == TrialSpec(network=NetworkSpec("ResNetBasicBlock/mid")).fingerprint()
    assert base.fingerprint() == TrialSpec(**base.to_json()).fingerprint()
    explicit = NetworkSpec("ResNetBasicBlock/mid", filler="ResNetBasicBlock", active_blocks=3)
    assert base.fingerprint() == TrialSpec(network=explicit).fingerprint()
    others = [
        base.with_(**change) for change in ({"lr": 0.02}, {"epochs": 3}, {"batch_size": 128}, {"seed": 1})
    ]
    assert len({spec.fingerprint() for spec in [base, *others]}) == 5


def test_fingerprint_is_the_same_in_every_version() -> None:
    # a change here makes every store run its trials again: change it only on purpose
    assert TrialSpec(lr=0.01).fingerprint() == "4f39901ad2bca4b9"


def test_comparable_ignores_subject_and_seed_alone() -> None:
    base = TrialSpec()
    late = base.with_(network=NetworkSpec("MobileOneBlock/late"), seed=7)
    assert base.comparable() == late.comparable()
    assert base.comparable() != base.with_(lr=0.5).comparable()
    assert base.comparable() != base.with_(network=NetworkSpec(base_channels=16)).comparable()


def test_a_network_of_a_library_has_no_scaffold() -> None:
    assert (
        NetworkSpec("timm:resnet18", num_blocks=2).fingerprint()
        == NetworkSpec("timm:resnet18", num_blocks=3).fingerprint()
    )


def test_filler_follows_the_variant() -> None:
    assert NetworkSpec("EdgeResidual/mid").filler_name == "ResNetBasicBlock"
    assert NetworkSpec("EdgeResidual@published/mid").filler_name == "ResNetBasicBlock@published"
    assert NetworkSpec("RepMixer@normalised/mid").filler_name == "ResNetBasicBlock"


def test_fields_that_came_later_count_where_they_are_used() -> None:
    base = TrialSpec()
    changes = [
        {"momentum": 0.5},
        {"weight_decay": 0.0},
        {"weight_decay": 1e-4},
        {"milestones": (3, 5)},
        {"validation_share": 0.1},
        {"start": "w.ckpt", "start_identity": "abc"},
        {"start": "w.ckpt", "start_identity": "abc", "start_with_optimizer": True},
    ]
    changed = [base.with_(**change) for change in changes]
    assert len({spec.fingerprint() for spec in [base, *changed]}) == len(changes) + 1
    elsewhere = base.with_(start="other/place.ckpt", start_identity="abc")
    assert elsewhere.fingerprint() == changed[-2].fingerprint(), "the place of a file is not what it holds"
    for wrong in ({"milestones": (5, 3)}, {"start": "w.ckpt"}, {"momentum": 1.0}, {"validation_share": 1.0}):
        with pytest.raises(UsageError):
            base.with_(**wrong)
