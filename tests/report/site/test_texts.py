"""What pages write: escaped markup, policies, commands that ask for the same trainings, citations, badges, cards."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from blockzoo.cli.app import build
from blockzoo.core.checked import settings_of
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.record import Record
from blockzoo.core.settings import Data, Recipe, Scaffold
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.table import trial_row
from blockzoo.report.groups import describe_group, group_of
from blockzoo.report.site.build import build_site
from blockzoo.report.site.cards import card_of, cited
from blockzoo.report.site.citing import Row, badge, bibtex
from blockzoo.report.site.commands import command_of
from blockzoo.report.site.markup import Markup, facts, joined, table, tag
from blockzoo.report.site.shell import Shell
from blockzoo.report.site.sketches import curves, spans, strip
from blockzoo.trials.request import images_of, network_spec, trial_spec
from tests.report.site import made_up
from tests.report.site.test_pages_in_a_browser import HOSTILE


class Elements(HTMLParser):
    """The names of elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("name", [*HOSTILE, '" onclick="alert(1)', "--><b>", "\x1b[31m"])
def test_text_is_escaped_wherever_it_is_put_in(name: str) -> None:
    made = [
        tag("p", name, title=name),
        joined([name]),
        table(name, (name, name), [(name, name)]),
        facts([(name, name)]),
        curves(name, [[0.1, 0.2]]),
        strip(name, [1.0, 2.0], (1.0, 2.0), name),
        spans(name, [(name, 1.0, None)], name),
    ]
    for markup in made:
        page = Elements(markup)
        assert not {"script", "img", "b"} & set(page.tags) and not any(
            a.startswith("on") for a in page.attributes
        )
        assert "\u202e" not in markup and "\x1b" not in markup
    assert tag("p", Markup("<b>")) == "<p><b></p>"


def test_a_page_allows_its_own_style_and_script_alone() -> None:
    text = Shell("Site", "made", [("One", "index.html")]).page(
        "T", "<p>", here="a/b.html", scripts=["boards.js"], data={"x": "</script>\u2028"}
    )
    policy = re.search(r'Security-Policy" content="([^"]+)"', text)
    assert policy is not None and policy[1].startswith("default-src 'none'; ") and "unsafe" not in policy[1]
    for name in ("style", "script"):
        (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]
    assert text.count("</script>") == 2 and "\u2028" not in text and 'href="../index.html"' in text


def words_of(command: str) -> dict[str, Any]:
    """The options of a command, as its parser takes them."""
    _, bound, _ = build().parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    return dict(bound.arguments)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"lr": 0.3, "epochs": 2, "limit_train": 500, "train_dtype": "float32", "weight_decay": 1e-4},
        {"milestones": (2, 3), "protocol": "step-v1", "image_size": 16, "threads": 2},
    ],
)
def test_the_command_asks_for_the_same_training(given: dict[str, Any]) -> None:
    data, recipe = (
        kind(**{k: v for k, v in given.items() if k in settings_of(kind)}) for kind in (Data, Recipe)
    )
    data = Data(**{**vars(data), "dataset": "digits"})
    scaffold = Scaffold(num_blocks=1, base_channels=8, filler="identity", active_width=0.5)
    images = images_of(data, None)
    spec = trial_spec(network_spec("RepMixer/late", None, images, scaffold), images, recipe, data, 1)
    asked = words_of(command_of(spec.to_json(), "RepMixer", "late", [0, 1]))
    assert (list(asked["blocks"]), list(asked["positions"]), asked["seeds"]) == (["RepMixer"], ["late"], 2)
    again = [
        kind(**{k: v for k, v in asked.items() if k in settings_of(kind)})
        for kind in (Scaffold, Recipe, Data)
    ]
    images = images_of(again[2], None)
    made = trial_spec(network_spec("RepMixer/late", None, images, again[0]), images, again[1], again[2], 1)
    assert made.fingerprint() == spec.fingerprint()


def test_a_budget_and_a_search_of_rates_are_asked_for_again() -> None:
    network = NetworkSpec(
        "RepMixer/late", budget="iso-params 0.33333333 of GhostBottleneck", active_width=0.7
    )
    spec = TrialSpec(network=network, dataset="digits", lr=0.2, lr_among="0.05 0.12345678").to_json()
    asked = words_of(command_of(spec, "RepMixer", "early late", [0, 1, 2]))
    assert (asked["track"], tuple(asked["budgets"]), asked["against"]) == (
        "iso-params",
        (0.33333333,),
        "GhostBottleneck",
    )
    assert (
        tuple(asked["learning_rates"]) == (0.05, 0.12345678)
        and "lr" not in asked
        and "active_width" not in asked
    )
    assert asked["seeds"] == 3 and list(asked["positions"]) == ["early", "late"]


def test_other_seeds_than_the_first_are_asked_for_one_by_one() -> None:
    network = NetworkSpec("RepMixer/late", budget="iso-params 0.5", active_width=0.7)
    spec = TrialSpec(network=network, dataset="digits", lr=0.2, lr_among="0.05 0.2").to_json()
    lines = [words_of(line) for line in command_of(spec, "RepMixer", "early late", [5, 1000]).splitlines()]
    asked = [(line["subject"], line["seed"]) for line in lines]
    assert asked == [(f"RepMixer/{place}", seed) for seed in (5, 1000) for place in ("early", "late")]
    assert all((line["active_width"], line["lr"]) == (0.7, 0.2) for line in lines)
    assert [words_of(line)["seed"] for line in command_of(spec, "RepMixer", "late", [0, 2]).splitlines()] == [
        0,
        2,
    ]
    whole = command_of({"dataset": "digits"}, "timm:resnet18", "", [2, 0, 1]).splitlines()
    assert whole == [f"blockzoo train timm:resnet18 --seed {seed} --dataset digits" for seed in (0, 1, 2)]


@pytest.mark.parametrize(
    "more", [{"callbacks": "mine.Loud 0a1b"}, {"start": "w.ckpt", "start_identity": "0a1b"}]
)
def test_what_no_command_makes_again_has_none(more: dict[str, str]) -> None:
    spec = TrialSpec(network=NetworkSpec("RepMixer/late"), dataset="digits", **more)  # type: ignore[arg-type]
    told = command_of(spec.to_json(), "RepMixer", "late", [0])
    assert told.startswith("No command makes it again") and "0a1b" in told and "blockzoo" not in told
    row = trial_row(Record("trial", spec.fingerprint(), spec.subject, spec.to_json()))
    words = {"callbacks": "with callbacks mine.Loud 0a1b", "start": "from weights 0a1b"}
    assert words[next(iter(more))] in describe_group(group_of(row))


def test_a_name_is_one_word_of_a_shell() -> None:
    spec = TrialSpec(network=NetworkSpec("RepMixer/late"), dataset="digits").to_json()
    for name in HOSTILE:
        words = shlex.split(command_of(spec, name, "late", [0]))
        assert words[3] == "--blocks" and words[5] == "--positions"


def row(block: str) -> Row:
    return Row(
        block,
        "mid",
        "a table",
        "50.00 \u00b1 1.00 %",
        "1 (1 to 3) of 6",
        3,
        "abcdef01",
        "0.1.0",
        "2026-11-30",
    )


@pytest.mark.parametrize("name", ["RepMixer", *HOSTILE, "{}\\%&$#_~^"])
def test_badges_and_entries_of_any_name(name: str) -> None:
    picture = ElementTree.fromstring(badge(row(name)))
    elements = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert elements == {"svg", "title", "rect", "path", "g", "text"} and float(picture.attrib["width"]) < 900
    entry = bibtex(row(name))
    depth = 0
    for sign in re.sub(r"\\.", "", entry):
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0 and re.match(r"@misc\{[A-Za-z0-9-]+,\n", entry)


def test_a_block_of_the_zoo_has_a_card_with_its_paper_and_code() -> None:
    for name in BLOCKS.names(variants=True):
        if not BLOCKS.origin(name).startswith("blockzoo."):
            continue  # another test's own
        card = card_of(name)
        assert card is not None and card.sentence == BLOCKS.summary(name) and card.code
    assert card_of("nobody's") is None
    known = card_of("ResNetBasicBlock x0.5")
    assert known is not None and 'href="https://arxiv.org/abs/1512.03385"' in cited(known.source)


def test_hostile_names_harm_no_file(tmp_path: Path) -> None:
    build_site(
        made_up.store(tmp_path / "results", HOSTILE, text=HOSTILE[1]), tmp_path / "site", title=HOSTILE[1]
    )
    files = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert len({path.suffix for path in files}) == 5
    for path in files:
        text = path.read_text()
        assert "\u202e" not in text, path
        if path.suffix == ".html":
            page = Elements(text)
            assert not {"img", "iframe"} & set(page.tags) and not any(
                a.startswith("on") for a in page.attributes
            )
            outward = [
                a
                for a in page.addresses
                if re.match(r"[a-z]+:|//", a) and not a.startswith("data:image/svg+xml,")
            ]
            assert outward == []
        elif path.suffix == ".svg":
            ElementTree.fromstring(text)
        elif path.suffix == ".csv":
            assert "'=HYPERLINK" in text and not re.search(r"(^|,)\"?=", text, re.MULTILINE)
