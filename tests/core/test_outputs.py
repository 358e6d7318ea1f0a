"""Rows at a place: a block that was edited is another one, and says so in its name."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core import columns
from blockzoo.core.csv_file import read_csv, write_csv
from blockzoo.core.outputs import Outputs, each_row, newest_codes, read_rows
from blockzoo.core.reading import Asked
from blockzoo.core.record import Record
from blockzoo.core.table import COLUMNS
from blockzoo.core.text import csv_lines
from tests.core.test_columns import BLOCKS as SUBJECTS
from tests.core.test_columns import trial

BLOCKS = [subject.rpartition("/")[0] for subject in SUBJECTS]

BLOCK = """
from torch import nn


class My(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x):
        return self.body(x)
"""


def own(code: str | None, seed: int) -> Record:
    made = trial(1, seed, accuracy=seed / 10)
    return replace(
        made, fingerprint=f"{code}-{seed}", values=made.values | ({} if code is None else {"code": code})
    )


def filled(folder: Path, *codes: str | None) -> Outputs:
    outputs = Outputs.at(folder)
    outputs.store().add(trial(0), *(own(code, seed) for seed, code in enumerate(codes)))
    return outputs


@pytest.mark.parametrize("kind", ["store", "table"])
def test_other_code_of_one_name_is_another_block(tmp_path: Path, kind: str) -> None:
    outputs = filled(tmp_path, None, "a" * 16, "b" * 16, "b" * 16, "a" * 16, "c" * 16)
    place = tmp_path
    if kind == "table":
        place = tmp_path / "table.csv"
        write_csv(place, outputs.store().rows(Asked()))
    name = BLOCKS[1]
    wanted = [
        BLOCKS[0], f"{name} (code unknown)", f"{name} (code aaaaaaaa)", f"{name} (code bbbbbbbb)",
        f"{name} (code bbbbbbbb)", f"{name} (code aaaaaaaa)", name,
    ]  # fmt: skip
    assert [row["block"] for row in read_rows(place)] == wanted
    few = list(each_row(place, Asked(columns=("block", "val_acc"))))
    assert [row["block"] for row in few] == wanted and {tuple(row) for row in few} == {("block", "val_acc")}
    assert [row["val_acc"] for row in each_row(place, Asked(columns=("val_acc",)))] == [
        0.5,
        0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
    ]
    assert [row["block"] for row in read_rows(place, where={"seed": "5"})] == [name]


def test_a_table_whose_header_is_quoted_is_read_alike(tmp_path: Path) -> None:
    """As a spreadsheet writes it."""
    outputs = filled(tmp_path, "a" * 16, "b" * 16)
    whole = read_rows(tmp_path)
    header, *lines = "".join(csv_lines(outputs.store().rows(Asked()), list(COLUMNS))).splitlines()
    quoted = ",".join(f'"{name}"' for name in header.split(","))
    (tmp_path / "table.csv").write_text("\n".join([quoted, *lines]) + "\n")
    assert [row["block"] for row in read_rows(tmp_path / "table.csv")] == [row["block"] for row in whole]
    assert whole[1]["block"].endswith("(code aaaaaaaa)")


def test_one_code_is_one_block(tmp_path: Path) -> None:
    outputs = filled(tmp_path, "a" * 16, "a" * 16)
    assert {row["block"] for row in read_rows(tmp_path)} == {BLOCKS[0], BLOCKS[1]}
    assert {row["code"] for row in outputs.store().rows(Asked())} == {None, "a" * 16}


def test_the_newest_of_several_against_a_plain_search() -> None:
    draw = random.Random(0)
    for _ in range(200):
        given = [(draw.choice("AB"), draw.choice("xyz")) for _ in range(draw.randrange(8))]
        expected = {}
        for block in "AB":
            codes = [code for name, code in given if name == block]
            if len(set(codes)) > 1:
                expected[block] = codes[-1]
        assert newest_codes(given) == expected


def test_a_store_whose_table_lacks_the_column_gets_it(tmp_path: Path) -> None:
    """As an earlier version left it."""
    outputs = filled(tmp_path, "a" * 16, "b" * 16)
    whole = read_rows(tmp_path)
    with closing(sqlite3.connect(outputs.database, isolation_level=None)) as db:
        db.execute("DROP VIEW results")
        db.execute("DROP INDEX trials_by_code")
        db.execute("ALTER TABLE trials DROP COLUMN code")
        db.execute("UPDATE about SET value = 'earlier' WHERE name = 'columns'")
    assert read_rows(tmp_path) == whole
    outputs.store().add(own("c" * 16, 7))
    with closing(sqlite3.connect(outputs.database)) as db:
        assert "code" in {name for _, name, *_ in db.execute("PRAGMA table_info(trials)")}
        assert db.execute("SELECT value FROM about WHERE name = 'columns'").fetchone() == (columns.VERSION,)
    assert [row["block"] for row in read_rows(tmp_path)][-1] == BLOCKS[1]
    assert main(["store", "check", str(tmp_path)]) == 0


@pytest.mark.slow
def test_an_edited_file_is_not_a_further_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output = tmp_path / "my_block.py", tmp_path / "results"
    small = "--dataset digits --epochs 1 --limit-train 64 --base-channels 4 --num-blocks 1 --no-latency"
    for seed, code in enumerate((BLOCK, BLOCK, BLOCK.replace("self.body(x)", "2 * self.body(x)"))):
        file.write_text(code)  # a process that has imported it does not run another content under its name
        words = ["train", f"{file}:My/mid", *small.split(), "-o", str(output), "--seed", str(seed)]
        subprocess.run([sys.executable, "-m", "blockzoo", *words], check=True)
    first, second, third = (row["code"] for row in read_csv(output / "results.csv"))
    assert first == second != third
    capsys.readouterr()
    assert main(["results", str(output), "--format", "json"]) == 0
    names = [row["block"] for row in json.loads(capsys.readouterr().out)]
    assert names == [f"{file}:My (code {first[:8]})"] * 2 + [f"{file}:My"]
