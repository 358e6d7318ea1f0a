"""A card as a whole: what it writes, what it stores, and that names do no harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blockzoo.card import make
from blockzoo.card.desk import Asked
from blockzoo.card.isolate import Costs, Training
from blockzoo.card.made import Card
from blockzoo.card.options import DATA, RECIPE, RUN, SCAFFOLD, Carding
from blockzoo.card.schedule import Schedule, TimeIsUp
from blockzoo.cli import main
from blockzoo.core.began import command
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.settings import Data, Recipe, Run, Scaffold
from blockzoo.sweep import run_sweep
from tests.report.site.browsers import Visit, axe, browser

BLOCK = Path(__file__).parents[1] / "my_custom_block.py"
HOSTILE = "<img src=x onerror=alert(1)>&\u202e{}$`.py"


def small(output: Path, **more: Any) -> tuple[Scaffold, Recipe, Data, Run]:
    """Settings of trainings of a second."""
    return (
        replace(SCAFFOLD, base_channels=4),
        replace(RECIPE, epochs=1),
        replace(DATA, limit_train=100, limit_val=50, limit_test=50),
        replace(RUN, output=output, device="cpu", **more),
    )


def with_parts(monkeypatch: pytest.MonkeyPatch, *parts: Any) -> None:
    monkeypatch.setattr(make, "parts_of", lambda most_seeds: list(parts))


def values(card: Card) -> Any:
    return json.loads(card.files[1].read_text())


def test_without_time_everything_is_left_out_by_name(tmp_path: Path) -> None:
    card = make.make_card("RepMixer", carding=Carding(time_budget="1s"), settings=small(tmp_path))
    assert {one.status for one in card.outcomes} == {"no time"}
    assert len(card.outcomes) == len(make.parts_of(5))
    assert card.answer[0].startswith("Not known")
    page, told = card.files[0].read_text(), values(card)
    assert "Not on this card" in page and "left out for want of time" not in page.partition("<main")[0]
    assert all(one["why"] and one["status"] == "no time" for one in told["parts"])
    assert all(one["made"]["command"] for one in told["parts"])
    assert {"command", "versions", "hardware", "protocol", "data"} <= set(told["provenance"])


def test_the_time_counts_from_the_start_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parts(monkeypatch)
    with command(age=40.0):
        card = make.make_card("RepMixer", carding=Carding(time_budget="1m"), settings=small(tmp_path))
    assert 40 <= card.seconds[0] < 60 and "the time" not in str(card.left_out)


def test_a_hostile_name_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / HOSTILE
    file.write_text(BLOCK.read_text())
    subject = f"{file}:MyCustomBlock"
    card = make.make_card(subject, carding=Carding(time_budget="1s"), settings=small(tmp_path / "out"))
    page = card.files[0].read_text()
    assert "<img src=x" not in page and "\u202e" not in page and "&lt;img src=x" in page
    assert card.files[0].parent == tmp_path / "out" / "cards"
    assert "\u202e" not in card.files[1].read_text()


def test_in_a_browser_nothing_complains(tmp_path: Path) -> None:
    file = tmp_path / HOSTILE
    file.write_text(BLOCK.read_text())
    card = make.make_card(
        f"{file}:MyCustomBlock", carding=Carding(time_budget="1s"), settings=small(tmp_path / "out")
    )
    with browser() as started:
        visit = Visit(started, card.files[0].parent)
        opened = visit.open(card.files[0].name)
        assert visit.complaints == [] and len(visit.requests) == 1
        opened.evaluate(axe())
        serious = opened.evaluate(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)))"
        )
        assert serious == []


@pytest.mark.parametrize("subject", ["timm:resnet18", "model:resnet18", "NoSuchBlock"])
def test_what_is_no_block_is_refused(subject: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a card is of a block|no block|NoSuchBlock"):
        make.make_card(subject, carding=Carding(time_budget="1s"), settings=small(tmp_path))


def test_it_is_never_compared_with_itself() -> None:
    for subject, against, other in (
        ("ResNetBasicBlock", "ResNetBasicBlock", "InvertedResidual"),
        ("RepMixer", "RepMixer", "ResNetBasicBlock"),
        ("RepMixer", "GhostBottleneck", "GhostBottleneck"),
    ):
        assert Asked.of(subject, Carding(against=against), SCAFFOLD, RECIPE, DATA, RUN).reference == other


def test_trainings_are_those_of_a_sweep_and_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffold, recipe, data, run = small(tmp_path)
    with_parts(monkeypatch, Costs(), Training("mid", 0), Training("mid", 1))
    carding = Carding(time_budget="10m", most_seeds=2)
    first = make.make_card(
        "MyCustomBlock",
        carding=carding,
        settings=(scaffold, recipe, data, replace(run, plugins=(str(BLOCK),))),
    )
    assert [one.status for one in first.outcomes] == ["done"] * 3, [one.why for one in first.outcomes]
    assert first.standings.block.differences["mid"].n == 2
    commands = [one["made"]["command"] for one in values(first)["parts"]]
    assert "--by operation" in commands[0] and "blockzoo train MyCustomBlock/mid --seed 1 " in commands[2]
    store = Outputs.at(tmp_path).store(create=False)
    assert len(store.records("trial")) == 4
    settings = {
        **vars(scaffold),
        **vars(recipe),
        **vars(data),
        "output": tmp_path,
        "device": "cpu",
        "plugins": [str(BLOCK)],
    }
    plan = run_sweep(["MyCustomBlock", "ResNetBasicBlock"], ["mid"], 2, dry_run=True, **settings).plan
    assert plan.pending == [] and len(plan.trials) == 4
    with_parts(monkeypatch, Training("mid", 0), Training("mid", 1))
    again = make.make_card("MyCustomBlock", carding=carding, settings=(scaffold, recipe, data, run))
    assert len(store.records("trial", history=True)) == 4
    assert all((one.estimated_s or 0) < 0.01 for one in again.outcomes)
    assert again.standings.block.figures()["positions"] == first.standings.block.figures()["positions"]


@pytest.mark.slow
def test_other_results_stand_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small(tmp_path / "zoo")
    with_parts(monkeypatch, Costs(), Training("late", 0))
    make.make_card("RepMixer", carding=Carding(most_seeds=1), settings=settings)
    with_parts(monkeypatch, Training("late", 0))
    carding = Carding(most_seeds=1, zoo=tmp_path / "zoo")
    card = make.make_card("GhostBottleneck", carding=carding, settings=small(tmp_path / "mine"))
    assert card.standings.block.board is not None
    assert set(card.standings.block.board["blocks"]) == {"RepMixer", "ResNetBasicBlock", "GhostBottleneck"}
    trained = Outputs.at(tmp_path / "mine").store(create=False).records("trial")
    assert [record.subject for record in trained] == ["GhostBottleneck/late"], (
        "the reference is in the other results"
    )


def test_a_training_that_runs_out_of_time_goes_on_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffold, recipe, data, run = small(tmp_path)
    desk = make._desk(Asked.of("RepMixer", Carding(), scaffold, replace(recipe, epochs=2), data, run))
    trial = desk.trial("RepMixer", "late", 1)
    with pytest.raises(TimeIsUp):
        desk.train(trial, within=0.0)
    assert desk.outputs.checkpoint(trial.fingerprint()).is_file() and not desk.is_known(trial)
    record = desk.train(trial, within=600.0)
    assert record is not None and record.status == "ok" and desk.is_known(trial)
    assert not desk.outputs.checkpoint(trial.fingerprint()).is_file()


def test_the_command_says_the_answer_first_and_as_json_all_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "card",
        "RepMixer",
        "--time-budget",
        "1s",
        "--output",
        str(tmp_path),
        "--device",
        "cpu",
        "--base-channels",
        "4",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Not known" in said and "left out" in said and str(tmp_path / "cards" / "RepMixer.html") in said
    assert main([*words, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["part"] == "answer" and len(rows) == 1 + len(make.parts_of(5))
    assert main(["card", "RepMixer", "--time-budget", "soon"]) == 2


@pytest.mark.slow
def test_all_lenses_on_one_page(tmp_path: Path) -> None:
    carding = Carding(time_budget="30m", most_seeds=2)
    card = make.make_card(f"{BLOCK}:MyCustomBlock", carding=carding, settings=small(tmp_path))
    missing = [(one.title, one.why) for one in card.missing]
    assert missing == []
    assert card.standings.tiled.differences["early"].n == 2 and card.standings.cell.lines[""].n == 2
    kinds = {record.kind for record in Outputs.at(tmp_path).store(create=False).each_record()}
    assert {"trial", "latency", "coupling", "tiles"} <= kinds
    page = card.files[0].read_text()
    for words in (
        "on a clock",
        "coupled",
        "When it is tiled",
        "macro space",
        "Accuracy by position",
        "How this card was made",
    ):
        assert words in page
    (coupling,) = (one.made.figures for one in card.of("coupling"))
    assert coupling["weights"] != "as drawn from seed 0", "its map is that of the trained network"
    again = make.make_card(f"{BLOCK}:MyCustomBlock", carding=carding, settings=small(tmp_path))
    assert (
        again.standings.block.figures()["positions"].keys()
        == card.standings.block.figures()["positions"].keys()
    )
    assert {p: d.value for p, d in again.standings.block.differences.items()} == {
        p: d.value for p, d in card.standings.block.differences.items()
    }
    (once_more,) = (one for one in again.of("coupling"))
    assert (once_more.made.figures == coupling and (once_more.took_s or 0) < 2) or not coupling["converged"]


def test_parts_are_named_once() -> None:
    titles = [part.title for part in make.parts_of(5)]
    assert len(titles) == len(set(titles))
    assert Schedule([], 10.0, 0.0, clock=lambda: 3.0).left == 5.0
