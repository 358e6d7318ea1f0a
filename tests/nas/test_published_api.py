"""Every public name of the published package, as docs/nas.md lists it: the same, better, or left out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as blox
from blockzoo.nas.benchmark.release import header_of

ROOT = Path(__file__).parents[2]
SPACE = blox.MacroSpace()
HASHES = [SPACE.hash_alone(i) for i in (5, 7)]
ARCH, GONE = SPACE.arch_vec(5), SPACE.arch_vec(9)
CURVES = {"train_top1": 70.0, "train_loss": 2.0, "train_top5": 90.0, "val_loss": 3.0, "val_top5": 95.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("published")

    def write(name: str, kind: str, columns: dict[str, Any], **fields: Any) -> None:
        table = {"model_hash": HASHES, **columns}
        blox.write_dataset_file(place / name, {**header_of(SPACE, kind), **fields}, table)

    for seed in (0, 1):
        story = {"seed": seed, "epochs": 2, "dataset": "cifar100"}
        base = {"val_top1": [[1.0, 2.0]] * 2, "test_top1": [40.0 + seed] * 2, "train_time_s": [600] * 2}
        write(f"blox-base-{seed}.csv", "training", base, part="base", **story)
        ext = {name: [[value, value - 1]] * 2 for name, value in CURVES.items()}
        write(
            f"blox-ext-{seed}.csv",
            "training",
            {**ext, "test_loss": [1.5] * 2, "test_top5": [80.0] * 2},
            part="ext",
            **story,
        )
        write(f"blox-env-{seed}.csv", "env", {"gpu": ["A", "B"]}, seed=seed)
    for device in ("cpu", "gpu"):
        write(f"blox-bench-{device}.csv", "benchmarking", {"latency": [0.01, 0.02]}, device=device)
    write(
        "blox-info.csv",
        "static",
        {"params": [10, 20], "flops": [30, 40], "arch_vec": [SPACE.arch_vec(i) for i in (5, 7)]},
    )
    return place


def names_of_the_table() -> list[tuple[str, str]]:
    rows = re.findall(
        r"^\| `blox\.([^`]+)` \| (same|better|left out)", (ROOT / "docs" / "nas.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 60
    return rows


TRIED: dict[str, Any] = {
    "__version__": lambda d, f: blox.__version__ == "1.0.0",
    "from_folder": lambda d, f: blox.from_folder(f, seeds="1").seeds == [1],
    "dataset.from_folder": lambda d, f: (
        blox.dataset is not None and blox.from_folder(f, devices="gpu").devices == ["gpu"]
    ),
    "Dataset": lambda d, f: (
        blox.Dataset([f / "blox-base-0.csv", f / "blox-ext-0.csv"], [f / "blox-bench-cpu.csv"]).has_extension
    ),
    "dataset.Dataset": lambda d, f: (
        blox.dataset.Dataset(str(f / "blox-base-1.csv"), env_info=[f / "blox-env-1.csv"]).env_info.seeds
        == [1]
    ),
    "BenchmarkingDataset": lambda d, f: (
        blox.BenchmarkingDataset([f / "blox-bench-cpu.csv", f / "blox-bench-gpu.csv"]).latency(ARCH)
        == [[0.01], [0.01]]
    ),
    "StaticInfoDataset": lambda d, f: blox.StaticInfoDataset(f / "blox-info.csv").flops(ARCH) == 30,
    "EnvInfoDataset": lambda d, f: len(blox.EnvInfoDataset([f / "blox-env-0.csv"])) == 2,
    "Dataset.version": lambda d, f: d.version == 1,
    "Dataset.search_space": lambda d, f: d.search_space == [[[3], [3, 2, 2, 2]]] * 3,
    "Dataset.ops": lambda d, f: d.ops == ["conv", "mbconv", "bconv"],
    "Dataset.nodes": lambda d, f: d.nodes == 2,
    "Dataset.stages": lambda d, f: d.stages == 3,
    "Dataset.columns": lambda d, f: (
        d.columns[:5] == ["model_hash", "val_top1", "test_top1", "train_time_s", "train_top1"]
    ),
    "Dataset.header": lambda d, f: (
        d.header["epochs"] == 2 and d.header["columns"] == d.columns and "seed" not in d.header
    ),
    "Dataset.epochs": lambda d, f: d.epochs == 2,
    "Dataset.dataset": lambda d, f: d.dataset == "cifar100",
    "Dataset.seeds": lambda d, f: d.seeds == [0, 1],
    "Dataset.has_extension": lambda d, f: d.has_extension and not blox.from_folder(f).has_extension,
    "Dataset.is_extended": lambda d, f: d.is_extended,
    "Dataset.bench_info": lambda d, f: (
        d.bench_info.devices == ["cpu", "gpu"] and blox.from_folder(f, devices=False).bench_info is None
    ),
    "Dataset.static_info": lambda d, f: (
        d.static_info.params(ARCH) == 10 and blox.from_folder(f).static_info is None
    ),
    "Dataset.env_info": lambda d, f: d.env_info.seeds == [0, 1] and blox.from_folder(f).env_info is None,
    "Dataset.__contains__": lambda d, f: ARCH in d and GONE not in d and "junk" not in d,
    "Dataset.__len__": lambda d, f: len(d) == 2,
    "Dataset.__iter__": lambda d, f: next(iter(d)) == d[HASHES[0]] and len(list(d)) == 2,
    "Dataset.__getitem__": lambda d, f: (
        d[HASHES[0]][0] == HASHES[0]
        and d[HASHES[0]][1][1][1] == 41
        and d[HASHES[0]][2:] == [[[10, 30, ARCH]], [[0.01], [0.01]], [["A"], ["A"]]]
    ),
    "Dataset.full_info": lambda d, f: (
        d.full_info(GONE) is None
        and d.full_info(ARCH, seed=1)["seed"] == 1
        and "cpu" not in d.full_info(ARCH, devices=False)
        and d.full_info(ARCH)["cpu"] == {"latency": 0.01}
        and d.full_info(ARCH)["env"] == {"gpu": "A"}
        and d.full_info(ARCH, devices=False, return_dict=False)[:4] == [HASHES[0], [1, 2], 40, 600]
    ),
    "Dataset.full_info_by_graph": lambda d, f: (
        d.full_info_by_graph(blox.graph_utils.get_model_graph(ARCH)[0]) == d.full_info(ARCH)
    ),
    "Dataset.test_acc": lambda d, f: d.test_acc(ARCH, seed=1) == 41 and d.test_acc(GONE) is None,
    "Dataset.val_acc": lambda d, f: (
        d.val_acc(ARCH) == 2
        and d.val_acc(ARCH, epoch=1, best=False) == 1
        and raises(d.val_acc, ARCH, epoch=300)
    ),
    "Dataset.train_time": lambda d, f: (
        d.train_time(ARCH, epoch=1) == 300
        and d.train_time(ARCH, epoch=0) == 0
        and raises(d.train_time, ARCH, 3)
    ),
    "Dataset.train_acc": lambda d, f: d.train_acc(ARCH) == 70 and raises(blox.from_folder(f).train_acc, ARCH),
    "Dataset.train_loss": lambda d, f: d.train_loss(ARCH) == 1 and d.train_loss(ARCH, 1, best=True) == 2,
    "Dataset.train_top5": lambda d, f: d.train_top5(ARCH) == 90,
    "Dataset.val_loss": lambda d, f: d.val_loss(ARCH) == 2,
    "Dataset.val_top5": lambda d, f: d.val_top5(ARCH, epoch=2, best=False) == 94,
    "Dataset.test_loss": lambda d, f: d.test_loss(ARCH) == 1.5,
    "Dataset.test_top5": lambda d, f: d.test_top5(ARCH) == 80,
    "Dataset.latency": lambda d, f: (
        d.latency(ARCH, "cpu") == [[0.01]]
        and d.latency(GONE) is None
        and d.latency(ARCH, return_dict=True) == {"cpu": {"latency": 0.01}, "gpu": {"latency": 0.01}}
        and raises(d.latency, ARCH, "x")
        and raises(blox.from_folder(f, devices=False).latency, ARCH)
    ),
    "Dataset.params": lambda d, f: (
        d.params(ARCH) == 10 and blox.from_folder(f / ".", devices=False).params(GONE) is None
    ),
    "Dataset.flops": lambda d, f: d.flops(ARCH) == 30 and d.flops(GONE) is None,
    "Dataset.arch_vec": lambda d, f: d.arch_vec(ARCH) == ARCH and d.arch_vec(GONE) is None,
    "search_space.all_ops": lambda d, f: blox.search_space.all_ops == d.ops,
    "search_space.ops_no_zero": lambda d, f: blox.search_space.ops_no_zero == d.ops[:-1],
    "search_space.default_nodes": lambda d, f: blox.search_space.default_nodes == 2,
    "search_space.default_stages": lambda d, f: blox.search_space.default_stages == 3,
    "search_space.get_search_space": lambda d, f: (
        blox.search_space.get_search_space(stages=1) == [[[3], [3, 2, 2, 2]]]
    ),
    "search_space.get_model_hash": lambda d, f: (
        blox.search_space.get_model_hash(ARCH) == HASHES[0]
        and blox.search_space.get_model_hash([[[0], [0, 0, 0, 0]]] * 3) is None
        and blox.search_space.get_model_hash(ARCH[:1]) is not None
    ),
    "search_space.get_all_architectures": lambda d, f: (
        next(iter(blox.search_space.get_all_architectures())) == [[[0], [0, 0, 0, 0]]] * 3
        and sum(1 for _ in blox.search_space.get_all_architectures(stages=1)) == 72
    ),
    "search_space.get_unique_architectures": lambda d, f: (
        len(blox.search_space.get_unique_architectures(stages=1)) == 45
    ),
    "search_space.get_random_architectures": lambda d, f: (
        blox.search_space.get_random_architectures(2, seed=1) == blox.get_random_architectures(num=2, seed=1)
        and len(blox.get_random_architectures(3)) == 3
    ),
    "search_space.arch_vec_to_names": lambda d, f: (
        blox.search_space.arch_vec_to_names([[[0], [1, 1, 0, 0]]]) == [[["conv"], ["mbconv", 1, 0, 0]]]
    ),
    "graph_utils.get_model_graph": lambda d, f: (
        blox.graph_utils.get_model_graph(ARCH)[0][1][0] == ("input", None)
    ),
    "graph_utils.graph_hash": lambda d, f: (
        blox.graph_utils.graph_hash(blox.graph_utils.get_model_graph(ARCH)[0]) == HASHES[0]
    ),
    "graph_utils.is_empty": lambda d, f: blox.graph_utils.is_empty(
        blox.graph_utils.get_model_graph([[[0], [0, 0, 0, 0]]] * 3)[0]
    ),
    "io.read_dataset_file": lambda d, f: (
        blox.io.read_dataset_file(str(f / "blox-base-0.csv"), fast=True)[1][0]
        == [HASHES[0], [1.0, 2.0], 40.0, 600]
        and [row[0] for row in blox.io.read_dataset_file(f / "blox-base-0.csv")[1][:]] == HASHES
    ),
    "io.has_C": lambda d, f: blox.io.has_C is True,
}


def raises(call: Any, *arguments: Any, **options: Any) -> bool:
    with pytest.raises(ValueError, match=r"."):
        call(*arguments, **options)
    return True


@pytest.mark.parametrize(("name", "verdict"), names_of_the_table(), ids=lambda text: text)
def test_each_name_does_what_the_table_says(name: str, verdict: str, folder: Path) -> None:
    if name.startswith("utils."):
        return  # tried in a process of its own, below
    if verdict == "left out":
        module, _, last = name.rpartition(".")
        assert not hasattr(getattr(blox, module) if module else blox, last)
        return
    full = blox.from_folder(folder, extended=True, include_static_info=True, include_env_info=True)
    assert TRIED[name](full, folder)


def test_the_table_is_whole() -> None:
    assert set(TRIED) == {
        name
        for name, verdict in names_of_the_table()
        if verdict != "left out" and not name.startswith("utils.")
    }


def test_home_and_graphs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(blox.from_folder(f"~/{folder.name}")) == 2
    assert blox.io.read_dataset_file(f"~/{folder.name}/blox-base-0.csv")[0]["seed"] == 0
    for index in SPACE.sample(30, seed=1).tolist():
        graph, full = blox.graph_utils.get_model_graph(SPACE.arch_vec(index))
        assert blox.graph_utils.graph_hash(graph) == SPACE.hash_alone(index)
        kept = blox.graph_utils.get_model_graph(SPACE.arch_vec(index), keep_dims=True)[0]
        assert kept[0].shape == full[0].shape and sum(label is not None for label in kept[1]) == len(graph[1])


SCRIPT = """
import blox, sys
d = blox.from_folder({folder!r}, extended=True)
assert isinstance(d, blox.dataset.Dataset) and blox.__version__ == "1.0.0"
u = blox.utils
nested = [[[1], [2, 3]], [[4], [5, 6]]]
assert u.flatten(nested) == [1, 2, 3, 4, 5, 6] == list(u.recursive_iter(nested))
assert u.copy_structure(u.flatten(nested), nested) == nested and u.freeze(nested)[0] == ((1,), (2, 3))
assert u.count(iter("abc")) == 3 and list(u.get_first_n(iter("abc"), 2)) == ["a", "b"]
assert list(u.pairwise("abcd")) == [("a", "b"), ("c", "d")] and u.get_total_point([[2], [3, 4]]) == 24
assert u.make_nice_number(1234567) == "1,234,567"
blox.dataset.preferred_ext = ["native"]
try:
    blox.dataset.from_folder({folder!r})
except ValueError as error:
    assert "blox-base" in str(error)
else:
    raise SystemExit("preferred_ext was not heeded")
graph, full = blox.graph_utils.get_model_graph({arch!r})
assert blox.search_space.get_model_hash({arch!r}) == blox.graph_utils.graph_hash(graph) == next(iter(d))[0]
assert blox.io.read_dataset_file({folder!r} + "/blox-base-0.csv")[0]["epochs"] == 2 and "torch" not in sys.modules
"""


def test_import_blox(folder: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'compat'}:{ROOT}", "PATH": "", "HOME": str(folder)}
    command = [sys.executable, "-c", SCRIPT.format(folder=str(folder), arch=ARCH)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_draws_are_the_published_ones() -> None:
    import random

    random.seed(7)
    expected = [random.randrange(n) for n in [3, 3, 2, 2, 2] * 3]
    assert (
        np.concatenate(
            [np.concatenate(cell) for cell in blox.get_random_architectures(1, seed=7)[0]]
        ).tolist()
        == expected
    )
