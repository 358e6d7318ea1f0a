"""What `nas validate` finds: numbers that no training gives, or that cannot stand beside those of another part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.cli import main
from blockzoo.core.errors import DataError
from blockzoo.nas.benchmark.loading import BUNDLED
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files.agreeing import impossible_costs
from blockzoo.nas.files.maintenance import validate
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.costs import Skeleton
from blockzoo.nas.space.published import published_space

SPACE = published_space()


def _story(seed: int, **fields: Any) -> dict[str, Any]:
    setting = {"width": 8, "classes": 10, "image_size": 16}
    return {
        **header_of(SPACE, "training"),
        "dataset": "cifar10",
        "epochs": 3,
        "seed": seed,
        "setting": setting,
        **fields,
    }


def _sound(folder: Path, seeds: tuple[int, ...] = (0, 1), networks: int = 12) -> dict[str, dict[str, Any]]:
    """A benchmark as this project writes it; what is in each file, so that one number can be made impossible."""
    random = np.random.default_rng(0)
    index = list(range(networks))
    hashes = SPACE.hashes()[index].tolist()
    params, macs = nas.static_info(SPACE, Skeleton(8, 1, 10, 16))
    tables: dict[str, dict[str, Any]] = {
        "blox-info": {"model_hash": hashes, "params": params[index].tolist(), "flops": macs[index].tolist(),
                      "arch_vec": [SPACE.arch_vec(i) for i in index]}
    }  # fmt: skip
    nas.write_dataset_file(folder / "blox-info.csv", header_of(SPACE, "static"), tables["blox-info"])
    for seed in seeds:
        right = {split: random.integers(20, 60, (networks, 3)) for split in ("train", "val", "test")}
        losses = {split: np.round((1 - top / 100) * math.log(2) + 0.1, 6) for split, top in right.items()}
        base = {"model_hash": hashes, "val_top1": right["val"].astype(float).tolist(),
                "test_top1": right["test"][:, 0].astype(float).tolist(), "train_time_s": [30] * networks}  # fmt: skip
        ext = {"model_hash": hashes[::-1], **{f"{split}_{what}": _last(split, values[::-1])
               for split in right for what, values in (("top5", right[split] + 20.0), ("loss", losses[split]))}}  # fmt: skip
        ext["train_top1"] = right["train"][::-1].astype(float).tolist()
        tables |= {f"blox-base-{seed}": base, f"blox-ext-{seed}": ext}
        nas.write_dataset_file(folder / f"blox-base-{seed}.csv", _story(seed, part="base"), base)
        header = {name: value for name, value in _story(seed, part="ext").items() if name != "setting"}
        nas.write_dataset_file(folder / f"blox-ext-{seed}.csv", header, ext)
    return tables


def _last(split: str, values: Any) -> list[Any]:
    accuracies: list[Any] = values[:, 0].tolist() if split == "test" else values.tolist()
    return accuracies


def _faults(folder: Path) -> dict[str, str]:
    return {checked.path.stem: "; ".join(checked.faults) for checked in validate(folder)}


def test_a_sound_benchmark_and_the_bundled_one_have_no_faults(tmp_path: Path) -> None:
    _sound(tmp_path)
    assert set(_faults(tmp_path).values()) == {""}
    assert set(_faults(BUNDLED / "mini").values()) == {""}


@pytest.mark.parametrize(
    ("stem", "column", "value", "says"),
    [
        ("blox-ext-0", "val_top5", [1.0] * 3, "val_top5 of 1 networks is less than val_top1"),
        ("blox-ext-1", "train_top5", [99.0, 99.0, 19.9], "train_top5 of 1 networks is less than train_top1"),
        ("blox-ext-0", "test_top5", 10.0, "test_top5 of 1 networks is less than test_top1"),
        ("blox-ext-0", "val_loss", [9.0, 9.0, 0.01], "val_loss of 1 networks is less than val_top1 allows"),
        ("blox-ext-0", "test_loss", 0.02, "test_loss of 1 networks is less than test_top1 allows"),
        ("blox-ext-0", "model_hash", str(SPACE.hashes()[99]), "other networks than the base"),
        ("blox-info", "params", 7, "params of 1 networks are not theirs, as 7 of"),
        ("blox-info", "flops", 10**9, "flops of 1 networks are not theirs, as 1e+09 of"),
        ("blox-base-0", "val_top1", [30.01, 40.0, 40.0], "val_top1 30.01 is no count of 5,000 images"),
        ("blox-base-1", "test_top1", 30.005, "test_top1 30.005 is no count of 10,000 images"),
        ("blox-base-1", "train_time_s", 0, "train_time_s of 1 networks is 0, at the median 30"),
        ("blox-base-1", "val_top1", [30.0] * 4, "curves of 4 epochs"),
    ],
)  # fmt: skip
def test_one_number_that_cannot_be(tmp_path: Path, stem: str, column: str, value: Any, says: str) -> None:
    table = _sound(tmp_path)[stem]
    changed = {**table, column: [value, *table[column][1:]]}
    part, seed = [*stem.split("-")[1:], "0"][:2]
    header = header_of(SPACE, "static") if part == "info" else _story(int(seed), part=part)
    nas.write_dataset_file(tmp_path / f"{stem}.csv", header, changed)
    assert says in _faults(tmp_path)[stem]
    if column == "params":
        assert main(["nas", "validate", str(tmp_path)]) == 1


def test_a_copy_under_another_seed_and_parts_without_a_base(tmp_path: Path) -> None:
    tables = _sound(tmp_path)
    nas.write_dataset_file(tmp_path / "blox-base-1.csv", _story(1, part="base"), tables["blox-base-0"])
    assert "it has the accuracies of seed 0" in _faults(tmp_path)["blox-base-1"]
    for path in tmp_path.glob("blox-base-1.csv*"):
        path.unlink()
    assert "no readable base part of seed 1" in _faults(tmp_path)["blox-ext-1"]


@pytest.mark.parametrize(("name", "more"), [("params", 0), ("flops", 0), ("params", 1), ("flops", -1)])
def test_costs_are_those_of_the_hash_to_the_last_one(name: str, more: int) -> None:
    index, skeleton = [3, 70_000], Skeleton()
    params, macs = nas.static_info(SPACE, skeleton)
    columns = {"model_hash": SPACE.hashes()[index].tolist(), "params": params[index], "flops": macs[index]}
    columns[name] = columns[name] + [0, more]
    assert bool(impossible_costs(SPACE, skeleton, Table(columns))) == bool(more)


def test_what_does_not_say_how_it_was_made_is_doubted_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Programs of others may count top-1 and top-5 over other images: said, and no fault."""
    tables = _sound(tmp_path, seeds=(0,))
    ext = {**tables["blox-ext-0"], "val_top5": [[1.0] * 3, *tables["blox-ext-0"]["val_top5"][1:]]}
    for part, table in (("base", tables["blox-base-0"]), ("ext", ext)):
        header = {name: value for name, value in _story(0, part=part).items() if name != "setting"}
        nas.write_dataset_file(tmp_path / f"blox-{part}-0.csv", header, table)
    assert set(_faults(tmp_path).values()) == {""}
    assert "val_top5 of 1 networks is less than val_top1" in caplog.text


def test_exchanged_names_of_columns_are_seen(tmp_path: Path) -> None:
    """Validation has a number for each epoch, the test images one: under exchanged names they do not."""
    _sound(tmp_path, (0,))
    path = tmp_path / "blox-base-0.csv"
    text = path.read_text()
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)
    path.write_text(text.replace("- val_top1\n- test_top1", "- test_top1\n- val_top1"))
    assert path.read_text() != text
    with pytest.raises(DataError, match=r"test_top1 is a curve.*val_top1 is one number a network"):
        nas.from_folder(tmp_path)
    assert main(["nas", "validate", str(tmp_path)]) == 1


@pytest.mark.parametrize("text", ["3_4.47", "\u0663\u0664.47", "\uff13"])
def test_what_is_a_number_to_python_alone_is_none(tmp_path: Path, text: str) -> None:
    tables = _sound(tmp_path, (0,))
    path = tmp_path / "blox-base-0.csv"
    value = f",{tables['blox-base-0']['test_top1'][0]},30"
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)
    whole = path.read_text(encoding="utf-8")
    assert value in whole
    path.write_text(whole.replace(value, f",{text},30", 1), encoding="utf-8")
    with pytest.raises(DataError, match="test_top1 holds text"):
        nas.from_folder(tmp_path)
