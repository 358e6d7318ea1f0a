"""From trainings to files: a real small sweep, published pickles, and the commands over files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.cli import main
from blockzoo.core.errors import CheckFailed, DataError, UsageError
from blockzoo.nas.benchmark.release import build_release, holes
from blockzoo.nas.benchmark.results_pickles import published_results
from blockzoo.nas.training.trials import Choice

SPACE = nas.MacroSpace()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three networks, two of them neighbours, trained for two epochs on digits."""
    pytest.importorskip("torch")
    place = tmp_path_factory.mktemp("exp")
    command = [
        "nas",
        "train",
        "--indices",
        "10",
        "11",
        "13",
        "--width",
        "4",
        "--dataset",
        "digits",
        "--epochs",
        "2",
    ]
    options = [
        "--batch-size",
        "128",
        "--image-size",
        "12",
        "--protocol",
        "fast-v1",
        "--seeds",
        "1",
        "--limit-train",
        "256",
    ]
    assert main([*command, *options, "--output", str(place), "--lr", "0.1"]) == 0
    return place


@pytest.mark.slow
def test_trainings_become_a_benchmark(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["nas", "build", str(trained), "-o", str(tmp_path / "release"), "--formats", "native", "csv"])
        == 0
    )
    said = capsys.readouterr().out
    assert "3 networks, seeds 0" in said and "missing between the first and the last: 1 networks (12)" in said
    opened = nas.from_folder(
        tmp_path / "release",
        extended=True,
        include_static_info=True,
        include_env_info=True,
        validate_data=True,
    )
    assert opened.indices.tolist() == [10, 11, 13] and opened.epochs == 2 and opened.dataset == "digits"
    assert opened.width == 4 and opened.setting["protocol"] == "fast-v1"
    info = opened.full_info(11)
    assert len(info["val_top1"]) == 2 and 0 <= info["test_top1"] <= 100 and info["env"]["torch"][0].isdigit()
    params, macs = nas.static_info(SPACE, nas.Skeleton(4, 1, 10, 12))
    assert (opened.params(11), opened.macs(11)) == (params[11], macs[11])
    assert main(["nas", "validate", str(tmp_path / "release")]) == 0
    with pytest.raises(UsageError, match="--overwrite"):
        build_release(trained, tmp_path / "release", ["native"])
    with pytest.raises(DataError, match="--round"):
        build_release(trained, tmp_path / "blox", ["blox"])
    build_release(trained, tmp_path / "blox", ["blox"], round_counts=True, overwrite=True)
    near = nas.from_folder(tmp_path / "blox", extended=True)
    assert near.train_acc(11) == pytest.approx(opened.train_acc(11), abs=100 / 45_000)


@pytest.mark.mutation("macro-costs")
def test_no_file_is_made_of_costs_that_are_not_the_networks(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> Any:
        params, macs = nas.static_info(*arguments)
        return params, macs + 1

    monkeypatch.setattr("blockzoo.nas.benchmark.release.static_info", wrong)
    with pytest.raises(CheckFailed, match="macs are"):
        build_release(trained, tmp_path / "release")
    assert not (tmp_path / "release").exists()


@pytest.mark.slow
def test_the_published_recipe_runs_end_to_end(tmp_path: Path) -> None:
    """From the command to a file; what the recipe does to images and weights is tested beside the training code."""
    command = ["nas", "train", "--range", "40", "41", "--width", "4", "--dataset", "digits", "--epochs", "2"]
    options = ["--image-size", "12", "--limit-train", "300", "--output", str(tmp_path)]
    assert main([*command, *options]) == 0
    made = build_release(tmp_path, tmp_path / "release", ["native"])
    assert made.networks == 1 and made.holes == [] and made.unfinished == []


def test_nothing_to_build(tmp_path: Path) -> None:
    with pytest.raises((UsageError, Exception), match=r"no|store|results"):
        build_release(tmp_path, tmp_path / "release")


def test_holes_by_hand() -> None:
    assert holes({1, 2, 5, 6, 9}) == [(3, 4), (7, 8)] and holes({4}) == [] and holes(set()) == []


# --- published pickles ------------------------------------------------------------------------------


class Args:
    """Stands for the launcher's options: an object of a class that readers do not have."""

    range = (0, 2)


def entry(seed: int, epochs: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)

    def part(n: int) -> dict[int, dict[str, list[float]]]:
        return {
            e: {
                "top1": [float(rng.integers(0, 5000)) / 50],
                "top5": [99.98],
                "loss": [float(np.round(rng.uniform(0, 5), 6))],
            }
            for e in range(1, n + 1)
        }

    env = {"gpu": ["V100"], "torch_version": "1.9.0"}
    return {
        "train": part(epochs),
        "valid": part(epochs),
        "test": {epochs: part(1)[1]},
        "params": 10 + seed,
        "flops": 2e6,
        "env": env,
        "time": "1:02:03.60",
    }


def test_published_pickles_become_a_benchmark(tmp_path: Path) -> None:
    hashes = [SPACE.hash(i) for i in (0, 1, 4)]
    exp = tmp_path / "exp"
    exp.mkdir()
    for first, texts in ((0, hashes[:2]), (2, hashes[2:])):
        with (exp / f"results_{first}_{first + 2}.pickle").open("wb") as file:
            pickle.dump(Args(), file)
            pickle.dump({**{text: entry(i) for i, text in enumerate(texts)}, SPACE.hash(7): None}, file)
    with pytest.raises(UsageError, match="--allow-pickle"):
        build_release(exp, tmp_path / "release")
    made = build_release(exp, tmp_path / "release", ["blox"], allow_pickle=True)
    assert made.networks == 3 and made.holes == [(2, 3)] and len(made.unfinished) == 2
    opened = nas.from_folder(tmp_path / "release", extended=True, include_static_info=True)
    raw = entry(1)
    assert opened.val_acc(1, 2, best=False) == raw["valid"][2]["top1"][0]
    assert opened.test_loss(1) == raw["test"][3]["loss"][0]
    assert opened.train_time(1) == 3724 and opened.params(1) == 11 and opened.flops(1) == 2_000_000
    (exp / "combined.pickle").write_bytes(pickle.dumps({hashes[0]: entry(5)}))
    assert build_release(exp, tmp_path / "r2", ["native"], allow_pickle=True).networks == 1


def test_damaged_published_pickles(tmp_path: Path) -> None:
    path = tmp_path / "combined.pickle"
    for raw in (b"", b"junk", pickle.dumps([1]), pickle.dumps({"a": {"train": 1}}), pickle.dumps(Args())):
        path.write_bytes(raw)
        with pytest.raises(DataError, match="combined"):
            published_results(path)


# --- which networks ---------------------------------------------------------------------------------


def test_ways_to_choose() -> None:
    assert Choice(range=(5, 8)).networks() == [5, 6, 7]
    assert Choice(indices=[3, 1]).networks() == [3, 1]
    assert Choice(sample=4, sample_seed=1).networks() == SPACE.sample(4, 1).tolist()
    assert Choice(sample=9, sample_seed=1, first=2).networks() == SPACE.sample(9, 1)[:2].tolist()
    assert Choice(start=100, per_worker=3, workers=2).networks() == list(range(100, 106))
    for wrong in (
        {},
        {"range": (5, 5)},
        {"range": (0, 91_126)},
        {"sample": 3, "start": 0},
        {"indices": [91_125]},
        {"sample": 3, "first": 0},
    ):
        with pytest.raises(UsageError, match=r"one way|range|index|first"):
            Choice(**wrong).networks()


# --- commands over files ----------------------------------------------------------------------------


def test_convert_diff_merge_info(oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = oracles / "tiny"
    assert main(["nas", "convert", str(tiny), str(tmp_path / "native"), "--to", "native"]) == 0
    assert main(["nas", "convert", str(tiny / "blox-base-0.blox"), str(tmp_path / "x.csv")]) == 0
    assert main(["nas", "convert", str(tiny / "blox-base-0.blox"), str(tmp_path / "x.csv")]) == 2
    assert main(["nas", "diff", str(tmp_path / "x.csv"), str(tiny / "blox-base-0.csv")]) == 0
    assert main(["nas", "diff", str(tmp_path / "x.csv"), str(tiny / "blox-ext-0.csv")]) == 1
    header, table = nas.read_dataset_file(tiny / "blox-base-0.blox")
    for name, rows in (("a", range(40)), ("b", range(30, 64))):
        nas.write_dataset_file(tmp_path / f"{name}.native", header, table.take(np.array(rows)))
    assert (
        main(
            [
                "nas",
                "merge",
                str(tmp_path / "a.native"),
                str(tmp_path / "b.native"),
                "-o",
                str(tmp_path / "m.blox"),
            ]
        )
        == 0
    )
    assert main(["nas", "diff", str(tmp_path / "m.blox"), str(tiny / "blox-base-0.blox")]) == 0
    changed = {name: table[name] for name in table}
    changed["train_time_s"] = changed["train_time_s"] + 1
    nas.write_dataset_file(tmp_path / "c.native", header, changed)
    assert (
        main(
            [
                "nas",
                "merge",
                str(tmp_path / "a.native"),
                str(tmp_path / "c.native"),
                "-o",
                str(tmp_path / "n.blox"),
            ]
        )
        != 0
    )
    assert main(["nas", "info", str(tiny)]) == 0
    assert "other values" in capsys.readouterr().err


def test_validate_finds_a_file_that_differs(
    oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, table = nas.read_dataset_file(oracles / "tiny" / "blox-base-0.blox")
    nas.write_dataset_file(tmp_path / "blox-base-0.native", header, table)
    nas.write_dataset_file(tmp_path / "blox-base-0.csv", header, table.take(np.arange(63)))
    (tmp_path / "blox-info.blox").write_bytes(b"---\nbroken")
    assert main(["nas", "validate", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "64 rows against 63" in said and "2 of 3 files with faults" in said


def test_download_explains_copies_and_checks(
    oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nas", "download"]) == 0
    assert "CC BY-NC 4.0" in capsys.readouterr().out
    assert main(["nas", "download", str(tmp_path / "r"), "--mirror", str(oracles / "tiny")]) == 0
    path = tmp_path / "r" / "blox-base-0.csv"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b",", b";", 1))
    assert main(["nas", "download", str(tmp_path / "r")]) == 1
    assert "SHA256SUMS" in capsys.readouterr().out
