"""Queries: as published, one by one and many at a time, on files of others and on sets made here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files.columns import percent_table

SPACE = nas.MacroSpace()
EPOCHS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 40 networks, two seeds, one device, in mixed formats."""
    place = tmp_path_factory.mktemp("release")
    index = np.sort(SPACE.sample(40, seed=0))
    hashes = SPACE.hashes()[index]
    rng = np.random.default_rng(0)

    def counts(total: int, *shape: int) -> np.ndarray:
        return percent_table(total)[rng.integers(total // 10, total, shape)]

    def write(name: str, kind: str, fields: dict[str, Any], **columns: Any) -> None:
        header = {**header_of(SPACE, kind), **fields}
        nas.write_dataset_file(place / name, header, {"model_hash": hashes, **columns})

    for seed, suffix in ((0, "blox"), (7, "csv")):
        common = {"seed": seed, "epochs": EPOCHS, "dataset": "cifar100"}
        write(
            f"blox-base-{seed}.{suffix}",
            "training",
            {"part": "base", **common},
            val_top1=counts(5000, 40, EPOCHS),
            test_top1=counts(10_000, 40),
            train_time_s=rng.integers(100, 999, 40),
        )
        write(
            f"blox-ext-{seed}.native",
            "training",
            {"part": "ext", **common},
            train_top1=counts(45_000, 40, EPOCHS),
            train_loss=np.round(rng.uniform(0, 5, (40, EPOCHS)), 6),
            train_top5=counts(45_000, 40, EPOCHS),
            val_loss=np.round(rng.uniform(0, 5, (40, EPOCHS)), 6),
            val_top5=counts(5000, 40, EPOCHS),
            test_loss=np.round(rng.uniform(0, 5, 40), 6),
            test_top5=counts(10_000, 40),
        )
        write(f"blox-env-{seed}.blox", "env", {"seed": seed}, gpu=[f"gpu {i % 3}" for i in range(40)])
    write(
        "blox-info.csv",
        "static",
        {},
        params=rng.integers(1, 9999, 40),
        flops=rng.integers(1, 9999, 40),
        arch_vec=[SPACE.arch_vec(int(i)) for i in index],
    )
    for device in ("here", "there-1"):
        times = np.round(rng.uniform(0.001, 1, 40), 6)
        write(f"blox-bench-{device}.blox", "benchmarking", {"device": device}, latency=times)
    return place


@pytest.fixture(scope="module")
def full(folder: Path) -> Any:
    return nas.from_folder(
        folder, extended=True, include_static_info=True, include_env_info=True, validate_data=True
    )


def test_the_published_script_runs_word_for_word(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "release").symlink_to(folder)
    arch = SPACE.arch_vec(int(nas.from_folder(folder).indices[0]))
    script = textwrap.dedent(
        f"""
        import blockzoo.nas as blox
        d = blox.from_folder('release')
        arch_vec = {arch}
        info = d.full_info(arch_vec); val_acc = d.val_acc(arch_vec); test_acc = d.test_acc(arch_vec)
        assert val_acc == max(info['val_top1']) and test_acc == info['test_top1'], info
        d = blox.from_folder('release', extended=True, include_static_info=True, include_env_info=True,
                             preferred_ext=['blox', 'csv', 'native'])
        assert set(d.full_info(arch_vec)) > {{'info', 'env', 'here', 'there-1', 'val_loss'}}
        assert d.full_info([[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]) is None
        header, table = blox.io.read_dataset_file('release/blox-base-0.blox')
        assert header['seed'] == 0 and len(table['model_hash']) == 40
        import sys
        assert 'torch' not in sys.modules
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "", done.stderr


def test_nothing_that_reads_or_simulates_needs_torch(tmp_path: Path, oracles: Path) -> None:
    """In a process in which importing torch fails."""
    script = textwrap.dedent(
        f"""
        import sys
        for name in ("torch", "torchvision", "timm", "lightning"):
            sys.modules[name] = None
        import numpy as np
        import blockzoo.nas as nas
        d = nas.from_folder({str(oracles / "tiny")!r}, extended=True, include_static_info=True, preferred_ext=["blox"])
        space = nas.MacroSpace()
        d.full_info(int(d.indices[0])), d.val_acc(d.indices), d.macs(d.indices), d.top(3), d.pareto(), d.to_pandas()
        columns = {{"model_hash": space.hashes()[:3], "params": [1, 2, 3]}}
        nas.write_dataset_file("x.native", dict(version=1, dataset_type="static"), columns)
        from blockzoo.nas.search.task import Task
        from blockzoo.nas.search.simulate import compare
        from blockzoo.nas.benchmark.surrogate import surrogate_of
        from blockzoo.nas.figures import accuracy_against_cost, regret_curves
        made = compare(Task(surrogate_of(d), 40), ["random", "evolution", "predictor", "hyperband"], seeds=2)
        regret_curves(made), accuracy_against_cost(d)
        from blockzoo.cli import main
        assert main(["nas", "validate", {str(oracles / "tiny")!r}]) == 0
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_properties(full: Any) -> None:
    assert (full.version, full.epochs, full.dataset, full.nodes, full.stages) == (1, EPOCHS, "cifar100", 2, 3)
    assert full.ops == ["conv", "mbconv", "bconv"] and full.search_space == SPACE.shape
    assert full.is_extended and full.seeds == [0, 7] and full.devices == ["here", "there-1"]
    assert len(full) == 40 == len(list(full)) and next(iter(full))[0] in full and "0" * 32 not in full
    assert (
        full.columns[:4] == ["model_hash", "val_top1", "test_top1", "train_time_s"]
        and len(full.columns) == 11
    )


def test_every_query_against_the_columns(full: Any, folder: Path) -> None:
    index = int(full.indices[5])
    for seed in (0, 7):
        info = full.full_info(index, seed=seed)
        assert full.val_acc(index, seed=seed) == max(info["val_top1"])
        assert full.val_acc(index, 2, seed=seed) == max(info["val_top1"][:2])
        assert full.val_acc(index, 2, best=False, seed=seed) == info["val_top1"][1]
        assert full.val_acc(index, best=False, seed=seed) == info["val_top1"][-1]
        assert (
            full.train_acc(index, 3, seed=seed)
            == full.train_top1(index, 3, seed=seed)
            == max(info["train_top1"][:3])
        )
        assert full.val_top5(index, seed=seed) == max(info["val_top5"])
        assert full.train_top5(index, seed=seed) == max(info["train_top5"])
        assert full.val_loss(index, seed=seed) == info["val_loss"][-1]
        assert full.val_loss(index, 4, best=True, seed=seed) == min(info["val_loss"][:4])
        assert full.train_loss(index, 2, seed=seed) == info["train_loss"][1]
        assert full.test_acc(index, seed=seed) == info["test_top1"]
        assert full.test_loss(index, seed=seed) == info["test_loss"]
        assert full.test_top5(index, seed=seed) == info["test_top5"]
        assert full.train_time(index, seed=seed) == info["train_time_s"]
        assert full.train_time(index, 2, seed=seed) == pytest.approx(info["train_time_s"] * 2 / EPOCHS)
        assert full.curve("val_loss", index, seed=seed).tolist() == info["val_loss"]
        assert (
            info["env"]["gpu"].startswith("gpu")
            and info["info"]["macs"] == full.macs(index) == nas.static_info()[1][index]
        )
    assert full.params(index) == info["info"]["params"] and full.flops(index) == info["info"]["flops"]
    assert full.arch_vec(index) == SPACE.arch_vec(index) == info["info"]["arch_vec"]
    assert full.latency(index, "here") == [[info["here"]["latency"]]]
    assert full.latency(index) == [[info["here"]["latency"]], [info["there-1"]["latency"]]]
    assert full.latency(index, ["there-1"], return_dict=True) == {"there-1": info["there-1"]}
    plain = full.full_info(index, seed=7, return_dict=False)
    assert plain[0] == info["model_hash"] and plain[1] == info["val_top1"] and plain[11] == info["seed"] == 7
    assert plain[12:14] == full.latency(index) and plain[14][:3] == list(info["info"].values())[:3]
    assert plain[15] == list(info["env"].values())
    assert full.full_info_by_graph(nas.graph_of(index), seed=7) == info
    assert full.val_acc(index) == full.val_acc(index, seed=0)
    assert full.val_acc(index, seed="mean") == pytest.approx(
        (full.val_acc(index) + full.val_acc(index, seed=7)) / 2
    )


def test_all_names_of_a_network_give_the_same_answer(full: Any) -> None:
    index = int(full.indices[3])
    names = [index, SPACE.hash(index), SPACE.arch_vec(index)]
    assert len({full.test_acc(name) for name in names}) == 1
    assert all(name in full for name in names)


def test_many_at_a_time_equal_one_by_one(full: Any) -> None:
    asked = np.concatenate([full.indices[:10], SPACE.sample(5, seed=9)])
    hashes, flat = SPACE.hashes()[asked], SPACE.vectors(asked)
    for query in ("val_acc", "test_acc", "val_loss", "train_time", "params", "flops", "macs"):
        many = getattr(full, query)(asked)
        one = [getattr(full, query)(int(i)) for i in asked]
        np.testing.assert_array_equal(many, [np.nan if v is None else v for v in one])
        np.testing.assert_array_equal(getattr(full, query)(hashes), many)
        np.testing.assert_array_equal(getattr(full, query)(flat), many)
    np.testing.assert_array_equal(
        full.latency(asked, "here")[:10], [full.latency(int(i), "here")[0][0] for i in asked[:10]]
    )
    mean = full.test_acc(asked, seed="mean")
    np.testing.assert_allclose(mean[:10], (full.test_acc(asked[:10]) + full.test_acc(asked[:10], seed=7)) / 2)


def test_an_unknown_network_is_none(full: Any) -> None:
    dead = [[[0], [0, 0, 0, 0]]] * 3
    for arch in (dead, 1, SPACE.hash(1), "0" * 32):
        for query in ("val_acc", "test_acc", "train_time", "train_loss", "full_info"):
            assert getattr(full, query)(arch) is None
        assert arch not in full
    assert full.latency(1) is None and full.params(1) is None and full.arch_vec(1) is None


def test_wrong_requests_say_what_there_is(full: Any, folder: Path) -> None:
    index = int(full.indices[0])
    with pytest.raises(UsageError, match=r"loaded are \[0, 7\]"):
        full.val_acc(index, seed=3)
    with pytest.raises(UsageError, match="epochs 1 to 5"):
        full.val_acc(index, epoch=6)
    with pytest.raises(UsageError, match="epochs 1 to 5"):
        full.train_time(index, epoch=-1)
    with pytest.raises(UsageError, match="extended=True"):
        nas.from_folder(folder).train_acc(index)
    with pytest.raises(UsageError, match="here"):
        full.latency(index, "nowhere")


def test_which_files_are_read(folder: Path, tmp_path: Path) -> None:
    assert nas.from_folder(folder, seeds=7).seeds == [7]
    assert nas.from_folder(folder, devices=["here"]).devices == ["here"]
    assert nas.from_folder(folder, devices=False).devices == []
    with pytest.raises(DataError, match="blox-base-3"):
        nas.from_folder(folder, seeds=[3])
    with pytest.raises(DataError, match="no folder"):
        nas.from_folder(tmp_path / "none")
    with pytest.raises(DataError, match="no dataset file"):
        nas.from_folder(tmp_path)
    with pytest.raises(UsageError, match="zip"):
        nas.from_folder(folder, preferred_ext=["zip"])
    with pytest.warns(UserWarning, match="only the base"):  # ext is there as .native only
        base = nas.from_folder(folder, extended=True, preferred_ext=["blox", "csv"])
    assert not base.has_extension and base.seeds == [0, 7]
    (tmp_path / "half").mkdir()
    for path in folder.iterdir():
        if path.name != "blox-ext-7.native":
            (tmp_path / "half" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(
        DataError, match="blox-ext-7"
    ):  # of one seed only: asked for, and half of it is not there
        nas.from_folder(tmp_path / "half", extended=True)


def test_a_folder_of_pickles_needs_a_word(oracles: Path, tmp_path: Path) -> None:
    for path in (oracles / "tiny").glob("*.pickle"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="allow_pickle"):
        nas.from_folder(tmp_path)
    opened = nas.from_folder(tmp_path, extended=True, include_static_info=True, allow_pickle=True)
    other = nas.from_folder(oracles / "tiny", extended=True, include_static_info=True, preferred_ext=["blox"])
    assert opened.full_info(int(opened.indices[0])) == other.full_info(int(other.indices[0]))


def test_parts_that_do_not_belong_together_are_noticed(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    header, table = nas.read_dataset_file(folder / "blox-ext-0.native")
    nas.write_dataset_file(tmp_path / "blox-ext-0.native", header, table.take(np.arange(39)))
    with pytest.raises(DataError, match="different networks"):
        nas.from_folder(tmp_path, extended=True, validate_data=True)
    (tmp_path / "blox-base-1.blox").write_bytes((folder / "blox-base-0.blox").read_bytes())
    with pytest.raises(DataError, match="it is of 0, by its name of 1"):
        nas.from_folder(tmp_path)


def test_top_and_pareto_against_looking_at_all(full: Any) -> None:
    accuracy = full.test_acc(full.indices)
    best = full.top(5, by="test_acc")
    assert sorted(full.test_acc(best))[::-1] == sorted(accuracy)[::-1][:5]
    params = full.params(full.indices)
    front = {
        i
        for i, (a, p) in enumerate(zip(accuracy, params, strict=True))
        if not any(b >= a and q <= p and (b > a or q < p) for b, q in zip(accuracy, params, strict=True))
    }
    assert set(full.pareto("params", by="test_acc").tolist()) == set(full.indices[sorted(front)].tolist())


def test_views(full: Any) -> None:
    frame, table = full.to_pandas(), full.to_arrow()
    assert len(frame) == table.num_rows == 40 and list(frame.columns) == table.column_names
    assert frame["test_acc"].tolist() == full.test_acc(frame["index"].to_numpy()).tolist()


def test_a_device_that_lacks_a_network_takes_nothing_from_the_others(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "release"
    shutil.copytree(folder, place)
    header, table = nas.read_dataset_file(place / "blox-bench-here.blox")
    few = {name: values[:5] for name, values in table.items()}
    nas.write_dataset_file(place / "blox-bench-few.blox", {**header, "device": "few"}, few)
    opened = nas.from_folder(place)
    times = dict(zip(table["model_hash"].tolist(), table["latency"].tolist(), strict=True))
    known, unknown = (str(table["model_hash"][place]) for place in (0, 20))
    assert opened.full_info(known)["here"] == opened.full_info(known)["few"] == {"latency": times[known]}
    assert opened.full_info(unknown)["here"] == {"latency": times[unknown]}
    assert "few" not in opened.full_info(unknown)
    named = opened.full_info(unknown, devices=["few", "here"])
    assert named["few"] is None and named["here"] == {"latency": times[unknown]}
    assert opened.full_info(unknown, devices=["few", "here"], return_dict=False)[-2:] == [
        None,
        [times[unknown]],
    ]
    assert opened.latency(unknown) is None, "as published: of all devices, or None"


def test_the_mean_over_seeds_is_refused_where_one_training_is_asked_for(full: nas.Dataset) -> None:
    with pytest.raises(UsageError, match="seed 'mean': this is asked of one training: give one of"):
        full.full_info(int(full.indices[0]), seed="mean")  # type: ignore[arg-type]
