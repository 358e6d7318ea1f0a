"""Earlier conclusions: against sums by hand, on simulated tables whose truth is known, and on bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blockzoo.cli import main
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.csv_file import write_csv
from blockzoo.core.errors import DataError, UsageError
from blockzoo.report.claims import CLAIMS, Claim, Claimed, Judged, claims_of, judged_claims
from blockzoo.report.claims_tables import changes, claim_tables
from tests.report.test_comparison import Values, rows

OTHERS = tuple(f"B{number}" for number in range(9))


def table(
    draw: np.random.Generator, of_a: tuple[float, float, float], noise: float = 0.01, seeds: int = 3
) -> Values:
    """Nine equal blocks, and A, which is better by so much at early, mid and late; seeds differ by more than anything else."""
    luck = draw.normal(0.6, 0.02, seeds)
    return {
        (block, place): list(luck + draw.normal(0, noise, seeds) + (of_a[at] if block == "A" else 0.0))
        for block in ("A", *OTHERS)
        for at, place in enumerate(POSITIONS)
    }


def judged(values: Values, kind: Claimed) -> Judged:
    (one,) = judged_claims(rows(values), [Claim("as was said", kind, ("A",), "a test")])
    return one


def test_the_claims_of_the_published_picture() -> None:
    claims = claims_of()
    assert [claim.kind for claim in claims] == ["fastest", "accurate everywhere", "less accurate"]
    assert sum(len(claim.blocks) for claim in claims) == 6


def test_differences_are_from_the_mean_of_the_others() -> None:
    values = table(np.random.default_rng(0), (0.0, 0.01, 0.05))
    everywhere, overall = judged(values, "accurate everywhere"), judged(values, "less accurate")
    expected = [
        np.mean(values["A", place]) - np.mean([values[other, place] for other in OTHERS])
        for place in POSITIONS
    ]
    assert [d.value for d in everywhere.differences] == pytest.approx(expected)
    assert [d.value for d in overall.differences] == pytest.approx([np.mean(expected)])
    assert overall.differences[0].means[0] == pytest.approx(
        np.mean([values["A", place] for place in POSITIONS])
    )
    assert everywhere.others == OTHERS


@pytest.mark.parametrize(
    "of_a, kind, judgement, why",
    [
        ((0.05, 0.05, 0.05), "accurate everywhere", "holds", "more accurate at late"),
        ((0.05, 0.05, -0.05), "accurate everywhere", "does not hold", "less accurate at late"),
        ((0.05, 0.05, 0.004), "accurate everywhere", "not shown", "seeds at late"),
        ((-0.05, -0.05, -0.05), "less accurate", "holds", "less accurate over all positions"),
        ((0.05, 0.05, 0.05), "less accurate", "does not hold", "more accurate over all positions"),
    ],
)
def test_what_is_planted(of_a: tuple[float, float, float], kind: Claimed, judgement: str, why: str) -> None:
    one = judged(table(np.random.default_rng(1), of_a), kind)
    assert one.judgement == judgement and why in one.why


def test_a_block_that_is_like_the_others_contradicts_that_it_is_more_accurate() -> None:
    one = judged(table(np.random.default_rng(2), (0.0, 0.0, 0.0), noise=0.001), "accurate everywhere")
    assert one.judgement == "does not hold" and "equal at early" in one.why


def test_where_nothing_differs_claims_seldom_hold() -> None:
    draw = np.random.default_rng(3)
    verdicts = [judged(table(draw, (0.0, 0.0, 0.0)), "less accurate").judgement for _ in range(200)]
    wrong = verdicts.count("holds")
    assert wrong <= 10  # half of 5 % are expected: equal blocks seem less accurate, or more
    assert verdicts.count("not shown") > 100


@pytest.mark.slow
def test_where_nothing_differs_no_claim_of_a_family_is_decided_by_a_difference() -> None:
    """Holm's correction over all claims of a table: in one of twenty tables any of them may be."""
    draw, wrong = np.random.default_rng(11), 0
    claims = [
        Claim("they are good", "accurate everywhere", ("A", "B0", "B1"), "a test"),
        Claim("they are limited", "less accurate", ("B2", "B3"), "a test"),
    ]
    for _ in range(200):
        made = judged_claims(rows(table(draw, (0.0, 0.0, 0.0))), claims)
        wrong += any(d.kind in ("better", "worse") for one in made for d in one.differences)
    assert 1 <= wrong <= 18


def timed(times: dict[str, float]) -> list[dict[str, Any]]:
    """Rows whose stages take so many milliseconds, known to 2 %."""
    made = rows(table(np.random.default_rng(4), (0.0, 0.0, 0.0)))
    for row in made:
        ms = times.get(row["block"], 1.0)
        row |= {"stage_latency_ms": ms, "stage_latency_low_ms": 0.98 * ms, "stage_latency_high_ms": 1.02 * ms,
                "latency_device": "cpu"}  # fmt: skip
    return made


@pytest.mark.parametrize(
    "times, judgement, why",
    [
        ({"A": 0.5}, "holds", "fastest at every position"),
        ({"A": 0.95}, "not shown", "others may be as fast"),
        ({"B3": 0.5}, "does not hold", "at early B3 is 2 times as fast, at mid B3"),
        ({"B3": 0.95}, "not shown", "others may be as fast"),
    ],
)
def test_the_fastest(times: dict[str, float], judgement: str, why: str) -> None:
    (one,) = judged_claims(timed(times), [Claim("it is fast", "fastest", ("A",), "a test")])
    assert one.judgement == judgement and why in one.why


def test_without_times_nothing_is_fastest() -> None:
    assert judged(table(np.random.default_rng(5), (0.0, 0.0, 0.0)), "fastest").judgement == "no record"


def test_groups_are_judged_beside_the_blocks_that_all_have() -> None:
    native = rows(table(np.random.default_rng(6), (0.05, 0.05, 0.05)))
    equal = [
        row | {"budget": "iso-macs 1", "budget_ratio": 1.0, "comparable": "y"}
        for row in rows(table(np.random.default_rng(7), (-0.05, -0.05, -0.05)))
        if row["block"] != "B8"
    ]
    made = judged_claims(native + equal, [Claim("it is good", "accurate everywhere", ("A",), "a test")])
    assert [one.judgement for one in made] == ["holds", "does not hold"]
    assert {one.others for one in made} == {OTHERS[:-1]}
    assert changes(made) == [
        "A, accurate everywhere: holds (each block at its own cost); does not hold (iso-macs 1)"
    ]


def test_bad_input(tmp_path: Path) -> None:
    claim = Claim("it is good", "accurate everywhere", ("A",), "a test")
    few = {
        cell: of
        for cell, of in table(np.random.default_rng(8), (0.0, 0.0, 0.0)).items()
        if cell[0] in ("A", "B0")
    }
    for values in (few, {}):
        with pytest.raises(UsageError, match="3 or more other blocks"):
            judged_claims(rows(values), [claim])
    with pytest.raises(UsageError, match=r"no such file of claims; .*shows how"):
        claims_of(tmp_path / "none.yaml")
    for text, error in (
        ("source: me\nclaims: []", "list claims"),
        ("source: me\nclaims: [{claim: good, kind: better, blocks: [A]}]", "kind"),
        ("source: me\nclaims: [{claim: good, kind: fastest, blocks: []}]", "the blocks that it is said of"),
        ("claims: [{claim: good, kind: fastest, blocks: [A]}]", "source"),
    ):
        (tmp_path / "claims.yaml").write_text(text)
        with pytest.raises((DataError, UsageError), match=error):
            claims_of(tmp_path / "claims.yaml")


def test_a_missing_position_is_no_record() -> None:
    values = {
        cell: of
        for cell, of in table(np.random.default_rng(9), (0.05, 0.05, 0.05)).items()
        if cell != ("A", "late")
    }
    assert judged(values, "accurate everywhere").judgement == "no record"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "table.csv", rows(table(np.random.default_rng(10), (0.05, 0.05, 0.05))))
    (tmp_path / "own.yaml").write_text(CLAIMS.read_text().split("claims:")[0] + (
        "claims: [{claim: A is good, kind: accurate everywhere, blocks: [A]}]"
    ))  # fmt: skip
    words = ["claims", str(tmp_path / "table.csv"), "--claims", str(tmp_path / "own.yaml")]
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "A accurate everywhere holds" in printed and "claimed: A is good (the published picture" in printed
    assert main([*words, "--format", "json", "--output", str(tmp_path / "judged.json")]) == 0
    (row,) = json.loads((tmp_path / "judged.json").read_text())
    assert row["verdict"] == "holds" and row["differences"].keys() == {*POSITIONS}
    assert main(["claims"]) == 2 and "name one table" in capsys.readouterr().err


def test_a_block_that_lacks_a_position_is_left_out_of_the_others_and_named() -> None:
    values = table(np.random.default_rng(1), (0.05, 0.05, 0.05))
    del values["B3", "late"]
    one = judged(values, "accurate everywhere")
    assert one.judgement == "holds" and one.left_out == ("B3",)
    assert one.others == tuple(block for block in OTHERS if block != "B3")
    assert "positions alone: B3" in claim_tables([one], 0.005)[0].caption


def test_a_claimed_block_that_diverged_is_not_shown_to_be_accurate() -> None:
    made = rows(table(np.random.default_rng(1), (0.05, 0.05, 0.05)))
    for row in made:
        if (row["block"], row["position"], row["seed"]) == ("A", "mid", 2):
            row |= {"status": "diverged", "test_acc": None}
    (one,) = judged_claims(made, [Claim("as was said", "accurate everywhere", ("A",), "a test")])
    assert one.judgement == "not shown" and one.why == "unresolved: 1 of 3 trainings diverged at mid"
    assert "A/mid: 1 of 3 trainings diverged" in claim_tables([one], 0.005)[0].caption
