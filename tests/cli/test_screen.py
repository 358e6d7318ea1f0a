"""What commands print fits the terminal, and is whole in every other form."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from blockzoo.cli import main, screen
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.typeset import KEY, TextTable, cells_of, number

BROKEN = re.compile(r"\d…|…\d|±\s*$|^\s*±")
"""A number that was cut, or an interval that goes on in the next line."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def results() -> None:
    """Two blocks with long names at three positions, three seeds each, as a sweep leaves them."""
    kept = Store(Path("results/results.sqlite"))
    for number_, (block, position, seed) in enumerate(
        (block, position, seed)
        for block in ("UniversalInvertedBottleneckExtraDepthwise", "ResNetBasicBlock")
        for position in ("early", "mid", "late")
        for seed in range(3)
    ):
        spec = TrialSpec(
            network=NetworkSpec(f"ResNetBasicBlock/{position}"), dataset="digits", seed=seed
        ).to_json()
        spec["network"]["subject"] = f"{block}/{position}"
        accuracy = 0.3 + 0.01 * (number_ * 7 % 11)
        values = {
            "val_acc": accuracy - 0.02,
            "test_acc": accuracy,
            "flops": 123456789,
            "macs": 61728394,
            "params_total": 1234567,
            "image_size": 8,
        }
        kept.add(Record("trial", f"{number_:016x}", f"{block}/{position}", spec, values=values))


COMMANDS = [
    ["datasets"],
    ["blocks"],
    ["blocks", "--variants"],
    ["results"],
    ["results", "--verdicts"],
    ["results", "--specialisation"],
    ["compare", "ResNetBasicBlock", "UniversalInvertedBottleneckExtraDepthwise"],
    ["nas", "info"],
    ["nas", "fidelity"],
    ["store", "check", "results"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_at_80_columns(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results()
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and not [line for line in lines if cells_of(line.rstrip()) > 80 or BROKEN.search(line)]


def test_what_is_left_out_is_said_and_an_interval_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results()
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["results"]) == 0
    text = capsys.readouterr().out
    assert "Not shown at this width: validation, %" in text
    assert len(re.findall(r"\d\d\.\d\d ± \d+\.\d\d +3\b", text)) == 6, "accuracy, interval and n of each"
    monkeypatch.delenv("COLUMNS")
    assert main(["results"]) == 0
    assert "Not shown" not in capsys.readouterr().out, "without a terminal nothing is left out"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("form", ["json", "csv", "markdown", "latex"])
def test_every_form_stands_alone(words: list[str], form: str, capsys: pytest.CaptureFixture[str]) -> None:
    results()
    assert main([*words, "--format", form]) == 0
    text = capsys.readouterr().out
    if form == "json":
        assert json.loads(text)
    elif form == "csv":
        assert list(csv.DictReader(io.StringIO(text)))
    elif form == "markdown":
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert len(tables) > 2 and set(tables[1]) <= set("|-:")
    else:
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0 and r"\midrule" in text


def test_columns_that_are_only_named() -> None:
    made = screen.table("t", ["block", "n", number("ms", importance=KEY)], [["A", "3", "1.5"]])
    assert [column.align for column in made.columns] == ["left", "right", "right"]
    assert made.columns[0].importance == KEY and made.lines == [("A", "3", "1.5")]


def test_a_table_for_each_row_where_sentences_are_results(capsys: pytest.CaptureFixture[str]) -> None:
    screen.answer("two", [{"a": 1, "b": ""}, {"a": 2}], "latex")
    assert capsys.readouterr().out.count(r"\begin{tabular}") == 2


def test_sentences_are_results_too(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"val_acc": 0.5, "reason": ""}]
    for form, says in (
        ("table", "half\n"),
        ("json", "0.5"),
        ("csv", "0.5"),
        ("markdown", "| 0.5 |"),
        ("latex", "0.5"),
    ):
        screen.answer("half", rows, form)
        assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["nas", "search", "--benchmark", "mini", "--algorithm", "random", "evolution", "--seeds", "5", "--budget", "4"],
        [*"blockwise curvature --model feedforward --widths [4] --dataset digits --image-size 4".split(),
         *"--batches 1 --batch-size 16 --max-products 40".split()],
        "tile plan model:resnet8_half --image-size 32 --mode exact --budget 64KiB".split(),
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_every_table_has_its_rows_in_what_programs_read(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[TextTable] = []
    show = screen.show

    def heard(made: TextTable | list[TextTable], *rest: Any, **more: Any) -> None:
        shown.extend([made] if isinstance(made, TextTable) else made)
        show(made, *rest, **more)

    monkeypatch.setattr(screen, "show", heard)
    assert main([*words, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    texts = [{str(value) for value in row.values()} for row in rows]
    names = [[cell for cell, column in zip(line, one.columns, strict=True) if column.align == "left"][:1]
             for one in shown for line in one.lines]  # fmt: skip
    assert len(names) > 1 and all(any(set(of) <= text for text in texts) for of in names)
    assert len(rows) >= len(names), "a row for each line"


def test_traffic_is_a_result_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = "tile plan model:resnet8_half --image-size 32 --mode exact --budget 64KiB --buffer 64KiB --format json".split()
    assert main(words) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert (
        row["plan_read_bytes"] > 0
        and row["layer_by_layer_written_bytes"] > 0
        and row["plan_stays_on_chip"] in (True, False)
    )
