"""Differences and verdicts: against a library, against sums by hand, and on simulated tables whose truth is known."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.core.outcomes import Outcomes
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.groups import LR_SEARCH_SEED
from blockzoo.report.verdicts import comparison_rows, comparison_tables

Values = dict[tuple[str, str], list[float]]


def rows(values: Values) -> list[dict[str, Any]]:
    return [
        {
            "block": block,
            "position": position,
            "seed": seed,
            "test_acc": value,
            "status": "ok",
            "comparable": "x",
        }
        for (block, position), of in values.items()
        for seed, value in enumerate(of)
        if value is not None
    ]


def beside(filler: str, values: Values) -> list[dict[str, Any]]:
    """The same, of networks whose other stages hold this block."""
    return [row | {"filler": filler} for row in rows(values)]


def simulated(
    draw: np.random.Generator, *, blocks: int = 10, seeds: int = 3, noise: float = 0.01, better: float = 0.0
) -> list[dict[str, Any]]:
    """Blocks that are all equal, but for the first; seeds differ by more than anything else."""
    of_seeds = draw.normal(0.6, 0.02, seeds)
    return rows(
        {
            (f"B{b}", "mid"): list(of_seeds + draw.normal(0, noise, seeds) + (better if b == 0 else 0.0))
            for b in range(blocks)
        }
    )


def test_of_two_blocks_alone_it_is_the_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(0.5, 0.02, (2, 7))
    (comparison,) = compare(rows({("A", "mid"): list(a), ("B", "mid"): list(b)}), "A", "B")
    (difference,) = comparison.differences
    expected = stats.ttest_rel(a, b)
    assert difference.p == pytest.approx(expected.pvalue) and difference.degrees == 6 and difference.n == 7
    assert difference.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_the_variance_of_a_whole_table_by_hand() -> None:
    draw = np.random.default_rng(1)
    y = draw.normal(0.5, 0.02, (6, 4)) + draw.normal(0, 0.05, 4)
    left = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    deviation = np.sqrt((left**2).sum() / (5 * 3))
    (comparison,) = compare(rows({(f"B{i}", "late"): list(of) for i, of in enumerate(y)}), "B2", "B5")
    (difference,) = comparison.differences
    assert comparison.deviation == pytest.approx(deviation) and difference.degrees == 15
    assert difference.value == pytest.approx(y[2].mean() - y[5].mean())
    assert difference.error == pytest.approx(deviation * np.sqrt(2 / 4))


def test_seeds_that_one_of_them_lacks_are_left_out_of_the_difference_alone() -> None:
    values: dict[Any, Any] = {
        ("A", "mid"): [0.50, 0.52, 0.55, None],
        ("B", "mid"): [0.51, None, 0.52, 0.60],
        ("C", "mid"): [0.40, 0.41, 0.44, 0.45],
    }
    (comparison,) = compare(rows(values), "A", "B")
    (difference,) = comparison.differences
    assert difference.n == 2 and difference.value == pytest.approx(((0.50 - 0.51) + (0.55 - 0.52)) / 2)
    assert difference.degrees == 10 - 3 - 4 + 1


def test_one_network_at_several_positions_counts_once() -> None:
    """A filler under test is the same network at each position, trained from the same seeds."""
    draw = np.random.default_rng(2)
    filler, *others = draw.normal(0.5, 0.02, (4, 3))
    places = ("early", "mid", "late")
    values = {("A", place): list(of) for place, of in zip(places, others, strict=True)}
    values |= {("Filler", place): list(filler) for place in places}
    (comparison,) = compare(beside("Filler", values), "A", "Filler")
    y = np.array([*others, filler])
    left = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    deviation = np.sqrt((left**2).sum() / (3 * 2))
    *_, mean = comparison.differences
    assert comparison.deviation == pytest.approx(deviation) and mean.position == ""
    assert mean.error == pytest.approx(deviation * np.sqrt((1 / 3 + 1) / 3)), "three trainings against one"


def test_a_network_that_lacks_a_seed_at_a_position_is_still_one() -> None:
    draw = np.random.default_rng(2)
    values: dict[Any, Any] = {("A", place): list(draw.normal(0.5, 0.02, 3)) for place in ("early", "late")}
    filler = list(draw.normal(0.5, 0.02, 3))
    whole = values | {("Filler", "early"): filler, ("Filler", "late"): filler}
    lacking = values | {("Filler", "early"): filler, ("Filler", "late"): [*filler[:2], None]}
    (first,), (second,) = (compare(beside("Filler", of), "A", "Filler") for of in (whole, lacking))
    assert second.deviation == pytest.approx(first.deviation)
    assert second.differences[-1].error == pytest.approx(first.differences[-1].error * np.sqrt(3 / 2))


def test_seeds_of_one_block_alone_change_nothing() -> None:
    draw = np.random.default_rng(9)
    values = {(f"B{i}", "mid"): list(draw.normal(0.5, 0.01, 3)) for i in range(8)}
    more = values | {("B0", "mid"): [*values["B0", "mid"], *draw.normal(0.5, 0.01, 30)]}
    (few,), (many,) = (compare(rows(of), "B1", "B2") for of in (values, more))
    assert many.shared and many.deviation == pytest.approx(few.deviation)
    assert many.differences[0].degrees == few.differences[0].degrees


def test_cells_that_do_not_vary_alike_are_judged_by_their_own_seeds() -> None:
    draw = np.random.default_rng(3)
    values = {(f"B{i}", "mid"): list(draw.normal(0.5, 0.001, 8)) for i in range(6)}
    values["Wild", "mid"] = list(draw.normal(0.5, 0.1, 8))
    (comparison,) = compare(rows(values), "B0", "B1")
    (difference,) = comparison.differences
    assert not comparison.shared and difference.degrees == 7
    assert difference.p == pytest.approx(stats.ttest_rel(values["B0", "mid"], values["B1", "mid"]).pvalue)


def test_equal_blocks_are_told_apart_in_one_table_of_twenty_at_most() -> None:
    """200 tables in which nothing differs: Holm's correction holds 45 pairs of each together."""
    draw = np.random.default_rng(4)
    tables = [verdicts(simulated(draw))[0].differences for _ in range(200)]
    assert sum(any(d.verdict in ("better", "worse") for d in table) for table in tables) <= 10


def test_a_difference_that_is_detectable_is_found_in_four_tables_of_five() -> None:
    draw = np.random.default_rng(5)
    (comparison,) = compare(simulated(draw, seeds=4), "B0", "B1")
    degrees = comparison.differences[0].degrees
    better = float(stats.t.ppf(0.975, degrees) + stats.t.ppf(0.8, degrees)) * 0.01 * np.sqrt(2 / 4)
    found = [
        compare(simulated(draw, seeds=4, better=better), "B0", "B1")[0].differences[0].verdict
        for _ in range(400)
    ]
    assert 0.74 < found.count("better") / 400 < 0.86 and not found.count("worse")


def test_sign_flips_by_trying_all() -> None:
    draw = np.random.default_rng(6)
    a, b = draw.normal(0.5, 0.02, (2, 7))
    (comparison,) = compare(rows({("A", "mid"): list(a), ("B", "mid"): list(b)}), "A", "B")
    sums = [
        abs(sum(s * d for s, d in zip(signs, a - b, strict=True)))
        for signs in itertools.product((1, -1), repeat=7)
    ]
    expected = np.mean(np.array(sums) >= abs((a - b).sum()) - 1e-12)
    assert comparison.differences[0].sign_flips == pytest.approx(expected)
    (few,) = compare(rows({("A", "mid"): list(a[:5]), ("B", "mid"): list(b[:5])}), "A", "B")
    assert few.differences[0].sign_flips is None, "2 of 32 are the least: 6 %"


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([0.60, 0.61, 0.62], [0.50, 0.511, 0.519], "better"),
        ([0.50, 0.511, 0.519], [0.60, 0.61, 0.62], "worse"),
        ([0.6000, 0.6101, 0.6202, 0.63], [0.6001, 0.6100, 0.6201, 0.6302], "equal within 0.5"),
        ([0.60, 0.65, 0.62], [0.61, 0.60, 0.63], "unresolved: needs "),
        ([0.60], [0.50], "unresolved: one seed says nothing"),
        ([0.60, 0.61], [0.50, 0.51], "unresolved: the difference is the same in each seed"),
    ],
)
def test_verdicts_in_words(a: list[float], b: list[float], verdict: str) -> None:
    (comparison,) = compare(rows({("A", "mid"): a, ("B", "mid"): b}), "A", "B")
    assert comparison.differences[0].verdict.startswith(verdict), comparison.differences[0]


def test_so_many_seeds_as_it_asks_for_resolve_it() -> None:
    """The same spread and difference with the seeds that are needed, and with one fewer."""
    (comparison,) = compare(simulated(np.random.default_rng(7), better=0.004), "B0", "B1")
    (difference,) = comparison.differences
    assert difference.error is not None and difference.verdict.startswith("unresolved")
    spread, wanted = difference.error * np.sqrt(3), max(abs(difference.value), 0.005)

    def detectable(n: int) -> float:
        degrees = (n - 1) * 9
        return float(stats.t.ppf(0.975, degrees) + stats.t.ppf(0.8, degrees)) * spread / np.sqrt(n)

    assert difference.needed is not None
    assert detectable(difference.needed) <= wanted < detectable(difference.needed - 1)


def test_the_commands(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["block,position,seed,test_acc,val_acc,status"]
    draw = np.random.default_rng(8)
    for block, mean in (("A", 0.6), ("B", 0.5), ("C", 0.5)):
        lines += [f"{block},mid,{seed},{mean + draw.normal(0, 0.01):.4f},0.5,ok" for seed in range(3)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    assert main(["compare", "A", "B", "--results", str(table)]) == 0
    assert "better" in capsys.readouterr().out
    assert main(["compare", "B", "A", "--results", str(table), "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "worse" and told["low"] < told["difference"] < told["high"] < 0
    assert main(["results", str(table), "--verdicts"]) == 0
    assert capsys.readouterr().out.count("better") == 2, "of three pairs"
    for words in (["compare", "A", "Z"], ["compare", "A", "A"], ["compare", "A", "B", "--position", "late"]):
        assert main([*words, "--results", str(table)]) == 2
    assert main(["results", str(table), "--verdicts", "--history"]) == 2
    with pytest.raises(UsageError, match="A, B, C"):
        compare(rows({(name, "mid"): [0.5] for name in "ABC"}), "A", "Z")


def with_images(seeds: list[int], known: list[int]) -> tuple[list[dict[str, Any]], dict[str, Outcomes]]:
    """Trainings of two blocks, the last of the seeds one that a learning rate was chosen by; images of those that are known."""
    draw, made, of_images = np.random.default_rng(0), [], {}
    for block, seed in itertools.product("AB", seeds):
        hits = draw.random(400) < 0.6
        search = {"experiment_name": "learning rates"} if seed == LR_SEARCH_SEED else {}
        made += [
            one | {"seed": seed, "fingerprint": f"{block}{seed}", **search}
            for one in rows({(block, "mid"): [float(hits.mean())]})
        ]
        if seed in known:
            of_images[f"{block}{seed}"] = Outcomes(hits, draw.exponential(size=400))
    return made, of_images


@pytest.mark.parametrize(("known", "seeds"), [([0], "1 of 3"), ([0, 1, 2, LR_SEARCH_SEED], "3")])
def test_images_are_those_of_the_trainings_of_the_difference(known: list[int], seeds: str) -> None:
    made, of_images = with_images([0, 1, 2, LR_SEARCH_SEED], known)
    (comparison,) = compare(made, "A", "B", outcomes=of_images.get)
    (difference,) = comparison.differences
    assert difference.n == 3 and difference.images is not None and difference.images.seeds == int(seeds[0])
    assert (difference.over_both is None) == (seeds != "3")
    _, of = comparison_tables([comparison])
    line = dict(zip([column.title for column in of.columns], of.lines[0], strict=True))
    assert line["seeds"] == seeds and (line["and trainings"] == "-") == (seeds != "3")
    (told,) = comparison_rows([comparison])
    assert told["seeds_of_images"] == int(seeds[0]) and (told["both_low"] is None) == (seeds != "3")


def test_a_whole_network_has_no_position_and_is_no_mean() -> None:
    values = {(f"timm:n{i}", ""): list(np.random.default_rng(i).normal(0.6, 0.01, 3)) for i in range(3)}
    made = compare(rows(values), "timm:n0", "timm:n1")
    assert comparison_rows(made)[0]["position"] == "whole network"
    assert comparison_tables(made)[0].lines[0][0] == "whole network"
    everywhere = {
        (b, place): list(np.random.default_rng(0).normal(0.6, 0.01, 3))
        for b in "AB"
        for place in ("mid", "late")
    }
    assert [row["position"] for row in comparison_rows(compare(rows(everywhere), "A", "B"))] == [
        "mid",
        "late",
        "mean",
    ]
