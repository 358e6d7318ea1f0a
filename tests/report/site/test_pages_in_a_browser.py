"""Every page in a real browser: what can be clicked, typed and read, and that no request leaves it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.text import csv_text
from blockzoo.report.site.build import build_site
from tests.report.site import made_up
from tests.report.site.browsers import Visit, axe, browser

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "=HYPERLINK(1)",
    "\u202egnp.exe",
    "long" * 300,
    "a&b'\"`${1}",
    "../../etc",
]


FOCUSED = """() => {
  const one = document.activeElement;
  return one.id || (one.className.baseVal || "").split(" ")[0] || one.tagName;
}"""
"""What has the focus: its id, its kind in a picture, or its element."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site(made_up.store(folder / "results"), folder / "site", title="A site")
    return folder / "site"


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.fixture
def visit(started: Any, site: Path) -> Iterator[Visit]:
    made = Visit(started, site)
    yield made
    made.page.close()
    assert made.complaints == []


def test_it_sorts_by_any_column_and_says_so(visit: Visit) -> None:
    page = visit.open("index.html")
    first = visit.blocks
    ranks = [int(text.split()[0]) for text in visit.column("rank")]
    assert ranks == list(range(1, 7))
    page.click('th[data-key="block"] button')
    assert visit.blocks == sorted(first, key=str.lower)
    assert page.get_attribute('th[data-key="block"]', "aria-sort") == "ascending"
    page.click('th[data-key="block"] button')
    assert visit.blocks == sorted(first, key=str.lower, reverse=True)
    page.click('th[data-key="accuracy"] button')
    assert (
        visit.blocks == first and page.get_attribute('th[data-key="accuracy"]', "aria-sort") == "descending"
    )


def test_it_filters_and_searches(visit: Visit) -> None:
    page = visit.open("index.html")
    page.select_option("#by-budget", "0.5")
    assert "iso-macs 0.5" in page.inner_text("#caption")
    page.select_option("#by-position", "all")
    assert len(visit.blocks) == 18 and set(visit.column("place")) == {"early", "mid", "late"}
    page.fill("#find", "ghost late")
    assert visit.blocks == ["GhostBottleneck"] and visit.column("place") == ["late"]
    page.fill("#find", "nothing such")
    assert visit.blocks == [] and page.is_visible("#none")


def test_the_address_holds_the_view(visit: Visit, started: Any, site: Path) -> None:
    page = visit.open("index.html")
    page.select_option("#by-budget", "0.5")
    page.select_option("#by-position", "mid")
    page.select_option("#by-reference", "RepMixer")
    page.select_option("#by-cost", "flops")
    page.click('th[data-key="difference"] button')
    page.fill("#find", "re")
    told = visit.blocks, visit.column("difference"), page.url
    again = Visit(started, site)
    other = again.open("index.html" + page.url.partition("index.html")[2])
    assert (again.blocks, again.column("difference"), other.url) == told
    assert other.input_value("#by-cost") == "flops" and other.input_value("#find") == "re"
    other.close()


def test_verdicts_turn_with_the_reference(visit: Visit) -> None:
    page = visit.open("index.html#reference=RepMixer")
    page.select_option("#by-position", "mid")
    value = dict(zip(visit.blocks, visit.column("difference"), strict=True))["GhostBottleneck"]
    page.select_option("#by-reference", "GhostBottleneck")
    turned = dict(zip(visit.blocks, visit.column("difference"), strict=True))["RepMixer"]
    assert value[1:] == turned[1:] and {value[0], turned[0]} == {"+", "\u2212"}


def test_points_tell_all_figures_to_mouse_and_keyboard(visit: Visit) -> None:
    page = visit.open("index.html#position=mid")
    point = page.locator('.point[data-name="RepMixer"]')
    point.hover()
    told = page.inner_text("#note")
    words = ("RepMixer", "test accuracy", "rank", "verdict", "FLOPs", "latency", "on that front", "seeds")
    assert all(word in told for word in words)
    assert page.locator("tr.pointed").get_attribute("data-block") == "RepMixer"
    page.mouse.move(5, 5)
    assert page.is_hidden("#note")
    page.locator('.point[tabindex="0"]').focus()
    names = [page.evaluate("document.activeElement.dataset.name")]
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        names.append(page.evaluate("document.activeElement.dataset.name"))
    assert sorted(names) == sorted(made_up.BLOCKS) and page.is_visible("#note")
    page.keyboard.press("Escape")
    assert page.is_hidden("#note")


def test_positions_are_joined_and_the_band_is_drawn(visit: Visit) -> None:
    page = visit.open("index.html#position=all&join=1")
    assert page.locator(".join").count() == 6 and page.locator(".point").count() == 18
    visit.open("index.html#position=mid&cost=flops")
    assert page.locator(".band").count() == 1


def test_times_follow_the_runtime(visit: Visit) -> None:
    page = visit.open("index.html#position=mid")
    way = [value for value in page.locator("#by-runtime option").all_inner_texts() if "eager" in value]
    before = visit.column("latency_ms")
    page.select_option("#by-runtime", way[0])
    after = visit.column("latency_ms")
    assert before != after and "eager" in page.inner_text("#told")


def test_two_blocks_are_compared(visit: Visit, site: Path) -> None:
    page = visit.open("index.html")
    page.click("#compare")
    page.select_option("#a", "RepMixer")
    page.select_option("#b", "ConvNeXtBlock")
    first = page.locator("#answer table").nth(0).inner_text()
    assert "RepMixer less ConvNeXtBlock" in first and "mean of positions" in first
    page.click("#swap")
    assert "ConvNeXtBlock less RepMixer" in page.locator("#answer table").nth(0).inner_text()
    images = page.locator("#answer table").nth(1).inner_text()
    assert "only ConvNeXtBlock" in images and "500" in images
    assert "a=ConvNeXtBlock&b=RepMixer" in page.url


def test_a_line_leads_to_its_block_and_back(visit: Visit) -> None:
    page = visit.open("index.html")
    page.click("text=RepMixer >> nth=-1")
    assert page.inner_text("h1") == "RepMixer"
    page.click("#worth ~ div table a >> nth=1")
    assert "position=early" in page.url and page.input_value("#by-position") == "early"


def test_a_table_of_another_page_is_not_taken_for_the_first_one(visit: Visit) -> None:
    page = visit.open("index.html#table=nowhere&position=mid")
    assert page.is_visible("#strayed") and page.is_hidden("#shown") and page.is_hidden("#none")
    page.click("#strayed a")
    assert page.is_hidden("#strayed") and visit.blocks


def test_dark_and_light(started: Any, site: Path) -> None:
    dark = Visit(started, site, color_scheme="dark")
    page = dark.open("index.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(20, 23, 27)"
    page.click("#theme")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.is_hidden("#controls")
    page.close()


@pytest.mark.parametrize(
    "address", ["index.html", "index.html#position=all", "history.html", "blocks/RepMixer.html"]
)
def test_a_phone_shows_it_whole(address: str, started: Any, site: Path) -> None:
    phone = Visit(started, site, viewport={"width": 360, "height": 740}, is_mobile=True)
    page = phone.open(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_the_keyboard_reaches_everything(visit: Visit) -> None:
    page = visit.open("index.html")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert reached[0] == "A" and {
        "theme",
        "by-position",
        "by-reference",
        "find",
        "by-cost",
        "point",
        "BUTTON",
    } <= set(reached)
    page.locator('th[data-key="block"] button').focus()
    page.keyboard.press("Enter")
    assert page.get_attribute('th[data-key="block"]', "aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.closest('th').dataset.key") == "block"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: Any, started: Any, site: Path) -> None:
    source = axe()
    one = Visit(started, site, color_scheme=scheme)
    compare = next(site.glob("compare-*.html")).name
    for address in (
        "index.html",
        "index.html#position=all&join=1",
        compare,
        "blocks/RepMixer.html",
        "history.html",
    ):
        page = one.open(address)
        page.evaluate(source)
        broken = page.evaluate(
            "axe.run().then((result) => result.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))"
        )
        assert [rule for rule in broken if rule[0] in ("serious", "critical")] == [], address
    one.page.close()


def test_no_page_makes_a_request(visit: Visit, site: Path) -> None:
    pages = [str(path.relative_to(site)) for path in site.rglob("*.html")]
    assert len(pages) > 8
    for address in pages:
        visit.open(address)
        assert visit.requests == [f"{site.as_uri()}/{address}"]
    tried = visit.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'went', () => 'refused')")
    assert tried == "refused"
    assert any("Content Security Policy" in text for text in visit.complaints)
    visit.complaints.clear()


def test_hostile_names_are_text(tmp_path: Path, started: Any) -> None:
    build_site(
        made_up.store(tmp_path / "results", HOSTILE, text=HOSTILE[1]), tmp_path / "site", title=HOSTILE[0]
    )
    one = Visit(started, tmp_path / "site", viewport={"width": 1000, "height": 800})
    dialogs: list[str] = []
    one.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in sorted((tmp_path / "site").rglob("*.html")):
        page = one.open(str(path.relative_to(tmp_path / "site")))
        assert page.locator("img").count() == 0 and page.locator("script").count() <= 2
        assert page.evaluate("document.documentElement.scrollWidth") <= 1000, path
        for details in page.locator("details").all():
            details.evaluate("one => { one.open = true; }")
    assert dialogs == [] and one.complaints == []
    one.open("index.html#find=%3Cimg&reference=%3Cscript%3E&position=..&sort=nothing")
    assert one.blocks == [HOSTILE[0]]
    assert not any("\u202e" in name for name in one.blocks)
    one.page.close()


@pytest.mark.slow
def test_ten_thousand_rows_are_drawn_within_two_seconds(tmp_path: Path, started: Any) -> None:
    rows = made_up.rows(1120, seeds=3)
    assert len(rows) > 10_000
    (tmp_path / "big.csv").write_text(csv_text(rows))
    build_site(tmp_path / "big.csv", tmp_path / "site")
    page = tmp_path / "site" / "index.html"
    assert page.stat().st_size < 6 * 2**20
    one = Visit(started, tmp_path / "site")
    least = []
    for _ in range(3):
        began = time.perf_counter()
        one.open("index.html#position=all")
        assert len(one.blocks) == 100
        least.append(time.perf_counter() - began)
    assert min(least) < 2
    one.page.click("#more")
    assert len(one.blocks) == 3360
    one.page.close()
