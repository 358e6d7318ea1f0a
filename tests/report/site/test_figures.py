"""The figures of pages are those of the commands: boards, pairs, images and words against what computes them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.csv_file import read_csv
from blockzoo.report.charts import charts
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.images import outcomes_in
from blockzoo.report.ranks import rankings
from blockzoo.report.site.boards import board_of, facets_of, titles_of
from blockzoo.report.site.build import Site, addresses_of, in_parts, lines_of
from blockzoo.report.site.gathered import Gathered, gather
from blockzoo.report.site.pairs import LETTERS, MEAN, Pairs
from blockzoo.report.site.versus import comparable_of, images_of, outcomes_of
from blockzoo.report.site.words import Line, at
from tests.report.site import made_up
from tests.report.test_effects import PUBLISHED


@pytest.fixture(scope="module")
def published() -> Comparable:
    (of,) = comparables(read_csv(PUBLISHED))
    return of


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    return gather(made_up.store(tmp_path_factory.mktemp("made")))


def board(of: Comparable) -> dict[str, Any]:
    return board_of(of, "title", Pairs(of), {})


def line(shown: dict[str, Any], place: str, block: str) -> Line:
    (where,) = [one for one in shown["places"] if one["name"] == place]
    return Line(shown, where, where["block"].index(shown["blocks"].index(block)))


def test_verdicts_are_those_of_the_command(published: Comparable) -> None:
    (expected,) = verdicts(published.rows)
    pairs = Pairs(published)
    told = {
        (d.block, d.other, d.position): d for place in ("early", "mid", "late") for d in pairs.judged[place]
    }
    assert len(told) == len(expected.differences) == 135
    for difference in expected.differences:
        assert told[difference.block, difference.other, difference.position] == difference


def test_pairs_alone_are_those_of_compare(published: Comparable) -> None:
    pairs = Pairs(published)
    (expected,) = compare(published.rows, "MobileOneBlock", "RepMixer")
    for difference in expected.differences:
        assert difference in pairs.alone[difference.position]


def test_ranks_fronts_and_bands_are_those_of_the_commands(published: Comparable) -> None:
    (ranking,) = rankings(published.rows, cost="flops")
    shown = board(published)
    for one in ranking.ranked:
        own = line(shown, one.position, one.block)
        assert own.of("rank") == [one.rank, *one.interval]
        assert at(own.place["best"], own.row) == pytest.approx(one.best, abs=1e-4)
        assert at(own.place["front"]["flops"], own.row) == pytest.approx(one.front, abs=1e-3)
    (chart,) = [chart for chart in charts(published) if chart.name == "flops"]
    for panel in chart.panels:
        (place,) = [one for one in shown["places"] if one["name"] == panel.title]
        assert [tuple(step) for step in place["band"]["flops"]] == [
            (pytest.approx(cost, rel=1e-5), round(100 * low, 3), round(100 * high, 3))
            for cost, low, high in panel.band
        ]
        for point in panel.points:
            own = line(shown, panel.title, point.block)
            assert own.mean == pytest.approx(100 * point.accuracy, abs=1e-3)
            assert own.interval == pytest.approx(tuple(100 * end for end in point.interval or ()), abs=1e-3)


def test_columns_of_pairs_say_what_the_differences_do(published: Comparable) -> None:
    pairs, shown = Pairs(published), board(published)
    for place in shown["places"]:
        own = MEAN if place["name"] == "mean" else place["name"]
        columns, more = place["pairs"], pairs.more_columns(own)
        for number, difference in enumerate(pairs.judged[own]):
            alone = pairs.alone[own][number]
            assert columns["value"][number] == round(1e5 * difference.value)
            assert (
                columns["kind"][number] == LETTERS[difference.kind]
                and more["kindAlone"][number] == LETTERS[alone.kind]
            )
            assert difference.interval is not None
            assert at(columns["half"], number) == round(1e5 * (difference.interval[1] - difference.value))
            expected = difference.needed
            assert at(columns["needed"], number) == expected


def test_a_line_says_its_difference_from_the_reference_either_way_round(published: Comparable) -> None:
    shown = board(published)
    (expected,) = verdicts(published.rows)
    for difference in expected.differences:
        if "ResNetBasicBlock" in (difference.block, difference.other):
            own = difference if difference.other == "ResNetBasicBlock" else difference.the_other_way()
            told = line(shown, own.position, own.block).against
            assert told is not None
            assert told[0].startswith(f"{100 * own.value:+.2f}".replace("-", "\u2212"))
            assert told[1].partition(":")[0] == own.kind


def test_counts_of_images_are_those_of_compare(gathered: Gathered) -> None:
    of = gathered.groups[0]
    store = gathered.store
    assert store is not None
    pairs = Pairs(of)
    by_cell = outcomes_of(pairs, lambda fingerprint: gathered.told[fingerprint].outcomes)
    (expected,) = compare(of.rows, "GhostBottleneck", "RepMixer", outcomes=lambda f: outcomes_in(store, f))
    for difference in expected.differences[:3]:
        columns = images_of(pairs, difference.position, by_cell)
        assert columns is not None and difference.images is not None and difference.over_both is not None
        (number,) = [
            n
            for n, d in enumerate(pairs.alone[difference.position])
            if (d.block, d.other) == ("GhostBottleneck", "RepMixer")
        ]
        assert at(columns["first"], number) == round(difference.images.only_first, 1)
        assert at(columns["second"], number) == round(difference.images.only_second, 1)
        assert at(columns["images"], number) == made_up.IMAGES
        half = (difference.over_both[1] - difference.over_both[0]) / 2
        assert at(columns["both"], number) == round(1e5 * half)


def test_the_mean_over_positions_is_compared_in_common_seeds(gathered: Gathered) -> None:
    of = gathered.groups[0]
    pairs = Pairs(of)
    shown = comparable_of(board(of), pairs, {})
    (place,) = [place for place in shown["places"] if place["name"] == "mean"]
    own = pairs.cells[MEAN].index("RepMixer")
    expected = [100 * sum(of.table["RepMixer", p][seed] for p in of.positions) / 3 for seed in (0, 1, 2)]
    assert place["values"][own] == pytest.approx(expected, abs=1e-3)


def test_times_of_every_way_are_shown_each_with_its_front(gathered: Gathered) -> None:
    site = Site(gathered)
    shown = site.boards[0]
    assert len(shown["ways"]) == 2 and {way[0] for way in shown["ways"]} == {"Some CPU"}
    (mid,) = [place for place in shown["places"] if place["name"] == "mid"]
    first, second = ([time[0] for time in times["whole"]] for times in mid["times"])
    assert all(abs(a / b - 0.6) < 0.1 or abs(b / a - 0.6) < 0.1 for a, b in zip(first, second, strict=True))
    assert all(times["front"] for times in mid["times"])


def test_tables_have_titles_and_facets_that_tell_them_apart(gathered: Gathered) -> None:
    titles = titles_of(gathered.groups)
    assert len(set(titles)) == 2
    assert {facets_of(of)["budget"] for of in gathered.groups} == {"1", "0.5"}
    twins = made_up.rows(2) + [row | {"comparable": "other"} for row in made_up.rows(2)]
    assert len(set(titles_of(comparables(twins)))) == 2


def test_what_is_in_no_comparison_comes_last_without_a_rank() -> None:
    rows = made_up.rows(3)
    rows += [
        row | {"block": "Broken", "status": "failed", "test_acc": None, "val_acc": None} for row in rows[:9]
    ]
    (of,) = comparables(rows)
    shown = board(of)
    own = line(shown, "mid", "Broken")
    assert (
        own.row == 3 and own.of("rank") is None and own.accuracy == "\u2013" and own.of("lost") == "3 failed"
    )
    rows_of_csv = list(lines_of([shown]))
    assert [row["rank"] for row in rows_of_csv if row["position"] == "mid"] == [1, 2, 3, None]


def test_one_seed_has_means_and_no_verdicts() -> None:
    (of,) = comparables(made_up.rows(3, seeds=1))
    shown = board(of)
    assert all(set(place["pairs"]["kind"]) == {"u"} for place in shown["places"] if place["pairs"])
    assert line(shown, "mid", "Block0000").interval is None


def test_addresses_are_files_of_the_folder_each_its_own() -> None:
    names = ["a/b", "a\\b", "A/B", "..", "x" * 300, "<script>", "\u202e"]
    addresses = addresses_of(names)
    assert len({address.lower() for address in addresses.values()}) == len(names)
    assert all(
        Path(address).parent == Path("blocks") and len(address) < 120 for address in addresses.values()
    )


def test_pages_share_tables_where_one_cannot_carry_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = [{"key": str(number), "x": "y" * 100} for number in range(5)]
    monkeypatch.setattr("blockzoo.report.site.build.MOST_BYTES", 250)
    assert [len(part) for part in in_parts(boards)] == [2, 2, 1] and in_parts([]) == [[]]


def test_further_tables_are_linked(gathered: Gathered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockzoo.report.site.build.MOST_BYTES", 1)
    pages = dict(Site(gathered).pages([]))
    assert (
        'href="index-2.html#table=' in pages["index.html"]
        and 'href="index.html#table=' in pages["index-2.html"]
    )
    assert json.loads(pages["index-2.html"].partition('id="data">')[2].partition("</script>")[0])["boards"]
