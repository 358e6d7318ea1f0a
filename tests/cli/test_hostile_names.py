"""Every command that shows names shows them as text, whatever they hold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from blockzoo.cli import main
from blockzoo.cli.screen import Screen
from blockzoo.cli.screen import table as table_of
from blockzoo.core.outputs import read_rows
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.text import plain
from blockzoo.report.heatmap import HeatMap, draw_map, write_page
from blockzoo.report.tables import results_table
from tests.cli.test_cli import commands_of_the_package

NAMES = [
    "[red]",
    "[red]x",
    "prof[v2]",
    "\x1b[31mred\x07",
    "=1+1",
    "a|b",
    "<script>x<",
    "$x$",
    "$\\frac{",
    "_hidden",
    "\u202eabc",
    "{0}",
]
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
WORST = "[/red][bold]\x1b[31m=1|$x$\u202e"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def store() -> None:
    kept = Store(Path("got/results.sqlite"))
    for number, name in enumerate(NAMES):
        spec = TrialSpec(network=NetworkSpec("ResNetBasicBlock/mid"), dataset="digits", seed=number).to_json()
        spec["network"]["subject"], spec["dataset"] = f"{name}/mid", "$d$[/x]\x1b"
        values = {"val_acc": 0.5, "test_acc": 0.4, "flops": 1000 + number, "macs": 500, "image_size": 8}
        kept.add(
            Record(
                *("trial", f"{number:016x}", f"{name}/mid", spec),
                experiment_name=name,
                notes=name,
                reason=name,
                values=values,
                environment={"cpu": name, "device": name},
            )
        )


@pytest.mark.parametrize("form", ["table", "csv", "--markdown", "--history", "json"])
def test_results_of_any_name(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    store()
    words = [form] if form.startswith("--") else ["--format", form]
    assert main(["results", "got", *words]) == 0
    shown = capsys.readouterr().out
    assert not OBEYED.search(shown)
    if form == "json":
        assert [row["block"] for row in json.loads(shown)] == NAMES
    elif form == "table":
        assert all(plain(name) in shown for name in NAMES), "nothing is taken for markup"
    elif form == "--markdown":
        lines = [line for line in shown.splitlines() if line.startswith("| ") and "block" not in line]
        assert len(lines) == len(NAMES) and {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {10}
    else:
        rows = list(csv.DictReader(shown.splitlines()))
        assert [row["block"].removeprefix("'") for row in rows] == [plain(name) for name in NAMES]
        assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())


def test_a_table_on_any_console() -> None:
    store()
    console = Console(width=200, file=None, record=True)
    with console.capture() as shown:
        for made in results_table(read_rows("got")):
            console.print(made)
    assert "[red]x" in shown.get() and not OBEYED.search(shown.get().replace("\x1b[", ""))


def test_a_screen_takes_no_text_for_its_own(tmp_path: Path) -> None:
    screen = Screen(width=200)
    with screen.capture() as shown:
        for name in (*NAMES, WORST):
            screen.print(name)
            screen.print(Path(name))
            screen.print(table_of(name, [name], [[name]], caption=name))
    assert shown.get().count("prof[v2]") == 6 and not OBEYED.search(shown.get())


def test_files_of_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "ResNetBasicBlock", "--output", "prof[v2].csv"]) == 0
    assert "written to prof[v2].csv" in capsys.readouterr().out and Path("prof[v2].csv").is_file()
    store()
    for name in ("r[v2].csv", "[/red].json", "$x$.csv", "a b=.csv"):
        assert main(["results", "got", "--output", name]) == 0 and Path(name).is_file()
    assert main(["results", "r[v2].csv"]) == 0


@pytest.mark.parametrize("words", commands_of_the_package(), ids=" ".join)
def test_what_a_command_does_not_know_is_quoted_as_text(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [["--plugin", f"{WORST}.py"]] if words != ("trust",) else []
    if words in (
        ("profile",),
        ("results",),
        ("visualize",),
        ("trust",),
        ("nas", "info"),
        ("nas", "validate"),
        ("nas", "build"),
    ):
        asked += [[WORST], [""], ["\n"]]
    for more in asked:
        code = main([*words, *more])
        told = capsys.readouterr()
        assert code in (0, 1, 2) and not OBEYED.search(told.out + told.err), told
        assert "--debug shows where" not in told.err, told


def test_a_table_with_empty_names(capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("block,position,val_acc,flops\n,mid,0.5,3\n,,0.4,2\n[/x],,0.5,\n")
    for words in (
        ["results", "t.csv"],
        ["results", "t.csv", "--markdown"],
        ["visualize", "t.csv", "--output", "f"],
    ):
        assert main(words) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_a_map_of_any_names(tmp_path: Path) -> None:
    import numpy as np

    labels = tuple(NAMES)
    chart = HeatMap(
        np.ones((len(labels), len(labels))),
        labels,
        "DATA TITLE </script>$x$",
        "$q$",
        {"</script>": np.ones((12, 12))},
    )
    for suffix in (".png", ".svg", ".pdf"):
        draw_map(chart, tmp_path / f"map{suffix}")
    page = write_page(chart, tmp_path / "map.html").read_text()
    assert page.count("</script>") == 1 and "<title>DATA TITLE &lt;/script&gt;$x$</title>" in page
    data = json.loads(re.search(r"const data = (.*);\n", page)[1])  # type: ignore[index]
    assert tuple(data["labels"]) == labels and list(data["maps"]) == ["$q$", "</script>"]
