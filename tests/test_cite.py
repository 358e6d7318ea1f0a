"""What to cite: of every name of a door, of results, of options, of a manifest; each work once; what has no source is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blockzoo.cite import DOORS, LENSES, LOOKED_AT, bibliography, cite
from blockzoo.cli import main
from blockzoo.core.citations import citations_of
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.discovery import source_of
from blockzoo.core.errors import UnknownNameError, UsageError
from blockzoo.core.record import Record
from blockzoo.core.store import Store
from blockzoo.core.table import COLUMNS
from blockzoo.data.contracts import DATASETS
from tests.documented import ROOT
from tests.reading_bibtex import entries

OWN = {
    "dataset folder",
    "protocol step-v1",
    "search algorithm pareto-evolution",
    "search algorithm predictor",
    "search algorithm random",
    *(f"update engine {name}" for name in ("async", "distributed", "entire", "gauss-seidel", "jacobi")),
}
"""What is nobody's invention, or this package's."""


def pairs(*what: str | Path) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in cite(*what)}


def beside_libraries(*what: str | Path) -> set[tuple[str, str]]:
    return {(kind, name) for kind, name in pairs(*what) if kind != "library"}


def test_every_name_of_a_door_has_a_source_that_is_understood() -> None:
    without = set()
    for kind, registry in DOORS.items():
        for name in registry.names():
            if not registry.origin(name).startswith("blockzoo."):
                continue  # another test's own
            works = citations_of(registry.source(name))
            assert all(work.title and work.year for work in works), (name, works)
            if not works:
                without.add(f"{kind} {name}")
    assert without == OWN


def test_sources_of_lenses_are_understood() -> None:
    assert all(work.title and work.venue for source in LENSES.values() for work in citations_of(source))


def test_a_source_read_from_the_text_is_that_of_the_class() -> None:
    for registry, name in ((BLOCKS, "InvertedResidual"), (DATASETS, "cifar10")):
        assert registry.source(name) == source_of(registry[name].__doc__) != ""


def test_subjects_are_taken_apart() -> None:
    assert pairs("ResNetBasicBlock@published+eca/mid") == {
        ("block", "ResNetBasicBlock"),
        ("attention", "eca"),
        ("library", "timm"),
    }
    assert beside_libraries("tiled:F8:InvertedResidual/mid") == {
        ("method", "tile"),
        ("block", "InvertedResidual"),
    }
    three = "stages:ResNetBasicBlock,InvertedResidual,ResNetBasicBlock"
    assert beside_libraries(three) == {("block", "ResNetBasicBlock"), ("block", "InvertedResidual")}
    assert pairs("timm:resnet18") == {("library", "timm")}
    assert pairs("macro:7") == {("method", "nas")}


def test_libraries_are_those_that_the_file_of_a_block_imports() -> None:
    for name in ("ResNetBasicBlock", "MobileViTBlock"):
        module = BLOCKS.origin(name).replace(".", "/")
        imported = "from timm" in (ROOT / f"{module}.py").read_text()
        assert (("library", "timm") in pairs(name)) == imported


def test_names_of_all_doors_and_a_wrong_one() -> None:
    assert pairs("cifar10", "fast-v1", "evolution", "local-sgd", "torch", "nas") == {
        ("dataset", "cifar10"),
        ("protocol", "fast-v1"),
        ("search algorithm", "evolution"),
        ("update engine", "local-sgd"),
        ("library", "torch"),
        ("method", "nas"),
    }
    with pytest.raises(UnknownNameError, match="Did you mean cifar10"):
        cite("cifar-10")


def test_each_work_once_and_what_has_none_is_said() -> None:
    used = cite(
        "ResNetBasicBlock", "ResNetBottleneck", "cifar10", "cifar100", "random", "SEResNetBottleneck+se"
    )
    text = bibliography(used)
    read = entries(text)
    assert len({key for _, key, _ in read}) == len(read) == len({str(fields) for _, _, fields in read})
    assert "% block ResNetBasicBlock, ResNetBottleneck\n@inproceedings{he2016deep," in text
    assert "% block SEResNetBottleneck; attention se\n" in text
    assert "no source is known of: search algorithm random" in text


def test_of_a_table_and_of_a_file_of_options(tmp_path: Path) -> None:
    blocks = pairs(ROOT / "docs" / "results" / "cifar10.csv")
    assert {
        ("dataset", "cifar10"),
        ("protocol", "fast-v1"),
        ("library", "torch"),
        ("library", "lightning"),
    } < blocks
    assert ("block", "RepMixer") in blocks
    file = tmp_path / "grid.yaml"
    file.write_text("blocks: [InvertedResidual, ResNetBasicBlock+cbam]\ndataset: digits\nmuon-lr: 0.02\n")
    assert pairs(file) == {
        ("block", "InvertedResidual"),
        ("block", "ResNetBasicBlock"),
        ("attention", "cbam"),
        ("library", "timm"),
        ("dataset", "digits"),
        ("method", "muon_lr"),
    }
    file.write_text("seeds: 3\n")
    with pytest.raises(UsageError, match="nothing is used there"):
        cite(file)


def test_columns_that_are_looked_at_are_columns_or_keys_of_other_files() -> None:
    assert {"block", "filler", "dataset", "protocol", "muon_lr", "ema_decay"} <= set(LOOKED_AT) & set(COLUMNS)


def test_of_a_store_with_other_kinds_of_records(tmp_path: Path) -> None:
    spec = {"model": "cnn", "dataset": "digits", "options": {"training_mode": "local-sgd"}}
    Store(tmp_path / "results.sqlite").add(Record("blockwise", "f" * 16, "cnn", spec))
    assert {("dataset", "digits"), ("update engine", "local-sgd")} <= pairs(tmp_path)


def test_code_of_the_users_own_is_neither_run_nor_lost(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')\n")
    row = dict.fromkeys(COLUMNS, "") | {
        "block": f"{tmp_path}/mine.py:Mine",
        "dataset": "digits",
        "status": "ok",
    }
    (tmp_path / "t.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    assert ("dataset", "digits") in pairs(tmp_path / "t.csv")
    (tmp_path / "gone.yaml").write_text("blocks: [OfALaterVersion]\n")
    (one,) = cite(tmp_path / "gone.yaml")
    assert (one.name, one.works) == ("OfALaterVersion", [])
    assert "no source is known of: block OfALaterVersion" in bibliography([one])


def test_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cite", "ResNetBasicBlock", "digits", "-o", "used.bib"]) == 0
    out = capsys.readouterr().out
    text = Path("used.bib").read_text()
    assert out.startswith(text) and out.endswith("written   used.bib\n")
    assert [key for _, key, _ in entries(text)] == [
        "blockzoo",
        "he2016deep",
        "alpaydin1998optical",
        "wightman2019pytorch",
    ]
    assert main(["cite", "ResNetBasicBlock", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["ResNetBasicBlock", "timm", "blockzoo"]
    assert main(["cite"]) == 0
    assert [key for _, key, _ in entries(capsys.readouterr().out)] == ["blockzoo"]
    assert main(["cite", "no-such-thing"]) == 2
