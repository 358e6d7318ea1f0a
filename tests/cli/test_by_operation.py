"""`profile --by operation` and `benchmark --by operation` as people type them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.measure import limits

SMALL = ["--base-channels", "8", "--num-blocks", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "BUFFERS", {"cpu": (2**14, 2**20)})
    monkeypatch.setattr(limits, "SIDES", {"cpu": (64,)})


def test_profile_adds_up_to_profile(capsys: pytest.CaptureFixture[str]) -> None:
    main(["profile", "InvertedResidual/late", "--format", "json", *SMALL])
    (plain,) = json.loads(capsys.readouterr().out)
    for part, macs in (("stage", plain["stage_macs"]), ("network", plain["macs"])):
        words = [
            "profile",
            "InvertedResidual/late",
            "--by",
            "operation",
            "--part",
            part,
            "--format",
            "json",
            *SMALL,
        ]
        assert main(words) == 0
        rows = json.loads(capsys.readouterr().out)
        assert sum(row["macs"] for row in rows) == macs
        assert {row["part"] for row in rows} == {part} and {row["subject"] for row in rows} == {
            plain["subject"]
        }


def test_profile_says_where_bytes_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["profile", "InvertedResidual/late", "--by", "operation", "--output", "rows.csv", *SMALL]) == 0
    )
    said = capsys.readouterr().out
    assert "depthwise convolutions" in said and "of the bytes are moved by" in said
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert {row["layer"].split(".")[0] for row in rows} == {"stage3"}


def test_profile_of_the_trained_form(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", "ResNetBasicBlock/late", "--by", "operation", "--form", "trained", *SMALL]
    assert main(words) == 0
    assert "norms" in capsys.readouterr().out


def test_benchmark_compares_two(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", "InvertedResidual/mid", "ResNetBasicBlock/mid", "--by", "operation", *SMALL]
    more = [
        "--batch-sizes",
        "1",
        "--benchmark-runs",
        "3",
        "--figure",
        "roofline.png",
        "--output",
        "rows.json",
    ]
    assert main([*words, *more]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "Limits of this machine",
        "Parts ",
        "whole ",
        "of the time",
        "times as long as",
        "written to roofline.png",
    ):
        assert part in said
    assert Path("roofline.png").read_bytes()[:4] == b"\x89PNG"
    rows = json.loads(Path("rows.json").read_text())
    assert {row["subject"] for row in rows} == {"InvertedResidual/mid", "ResNetBasicBlock/mid"}
    for subject in ("InvertedResidual/mid", "ResNetBasicBlock/mid"):
        own = [row for row in rows if row["subject"] == subject]
        assert all(row["n"] == 3 and row["ms"] > 0 and row["machine_flops_per_s"] > 0 for row in own)
        assert {row["limited_by"] for row in own} <= {"compute", "memory", "calls", "none"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["profile", "ResNetBasicBlock", "--by", "layers"], "operation"),
        (["benchmark", "ResNetBasicBlock", "--by", "operatoin"], "operation"),
        (["profile", "ResNetBasicBlock", "--form", "trained"], "--form has an effect with --by alone"),
        (["benchmark", "ResNetBasicBlock", "--figure", "a.png"], "--figure has an effect with --by alone"),
        (
            ["benchmark", "ResNetBasicBlock", "--by", "operation", "--figure", "a.doc"],
            "end the name of a picture",
        ),
        (["benchmark", "ResNetBasicBlock", "--by", "operation", "--runtime", "compile"], "eager"),
        (["profile", "model:feedforward", "--by", "operation", "--part", "stage"], "has no stage under test"),
        (["profile", "NoSuchBlock", "--by", "operation"], "NoSuchBlock"),
    ],
)
def test_bad_requests(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert says in " ".join(capsys.readouterr().err.split())
