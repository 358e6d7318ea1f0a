from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from blockzoo.core.csv_file import kept_rows, ours, read_csv, write_csv
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.outputs import Outputs, read_rows
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.table import COLUMNS, FRACTIONS, TEXTS, rows
from blockzoo.core.text import csv_text

KNOWN = (
    "timestamp block dataset position epochs batch_size lr val_loss val_acc training_time params_total "
    "params_trainable flops memory_mb latency_ms latency_std throughput device num_blocks base_channels out_dim "
    "experiment_name notes"
).split()


def trial(subject: str = "ResNetBasicBlock/mid", seed: int = 0, **values: float) -> Record:
    spec = TrialSpec(network=NetworkSpec(subject), seed=seed)
    return Record(
        "trial", spec.fingerprint(), spec.network.subject, spec.to_json(), values={"image_size": 32, **values}
    )


def latency(subject: str = "ResNetBasicBlock/mid") -> Record:
    samples = {"network_batch1_ms": [2.0, 1.0, 3.0], "network_batch256_ms": [100.0], "stage_batch1_ms": [0.5]}
    return Record("latency", NetworkSpec(subject).timing_key(32), subject, {}, samples=samples)


def export_csv(table: list[dict], path: Path) -> Path:
    """Write a table as a store's is written, and its mark beside it."""
    target = ours(path)
    kept = list(kept_rows(target, {row["fingerprint"] for row in table}))
    write_csv(target, [*kept, *table]).write(target)
    return target


def test_known_columns_come_first() -> None:
    assert list(COLUMNS)[: len(KNOWN)] == KNOWN


def test_row_of_a_trial_with_its_latency() -> None:
    row = rows([trial(val_acc=0.5)], [latency(), latency("EdgeResidual/mid")])[0]
    assert (row["block"], row["position"], row["val_acc"]) == ("ResNetBasicBlock", "mid", 0.5)
    assert (row["latency_ms"], row["latency_std"], row["stage_latency_ms"]) == (2.0, 1.0, 0.5)
    assert row["throughput"] == pytest.approx(2560)
    assert rows([trial()])[0]["latency_ms"] is None


def test_what_people_do_with_it(tmp_path: Path) -> None:
    table = rows(
        [trial("ResNetBasicBlock/mid", s, val_acc=0.5 + s / 10, params_total=7) for s in (0, 1)], [latency()]
    )
    df = pd.read_csv(export_csv(table, tmp_path / "results.csv"))
    means = df.groupby("position")[["val_acc", "params_total", "latency_ms"]].mean()
    assert means.loc["mid"].tolist() == [0.55, 7, 2]
    agg = df.groupby(["block", "position"]).agg(
        {"val_acc": "mean", "params_total": "mean", "latency_ms": "mean"}
    )
    assert agg.loc[("ResNetBasicBlock", "mid"), "val_acc"] == 0.55


def test_round_trip(tmp_path: Path) -> None:
    table = rows([trial(val_acc=0.25)])
    table[0]["notes"] = 'with, comma "quotes"\nand a line'
    path = export_csv(table, tmp_path / "results.csv")
    back = read_csv(path)
    assert {k: v for k, v in back[0].items() if v is not None} == {
        k: v for k, v in table[0].items() if v not in (None, "")
    }


def test_rows_the_store_does_not_hold_are_kept(tmp_path: Path) -> None:
    path = export_csv(rows([trial(seed=0)]), tmp_path / "results.csv")
    assert export_csv(rows([trial(seed=1, val_acc=0.5)]), path) == path
    assert [row["seed"] for row in read_csv(path)] == [0, 1]
    export_csv(rows([trial(seed=1, val_acc=0.75)]), path)
    assert [row["val_acc"] for row in read_csv(path)] == [None, 0.75]


@pytest.mark.parametrize("content", ["block,position,mine\na,mid,1\n", "whatever\n", "\x00\xff", ""])
def test_a_csv_with_other_columns_is_never_touched(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(content)
    written = export_csv(rows([trial()]), path)
    assert written == tmp_path / "results-1.csv"
    assert path.read_text() == content
    assert len(read_csv(written)) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n", "no columns 'block'"),
        ("block,position\nA\n", "line 2"),
        ("block,position\nA,mid,3\n", "line 2"),
    ],
)
def test_unreadable_csv(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_csv(path)


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("test_acc", "60", "test_acc 60 (a fraction of 0 to 1: percent are divided by 100)"),
        ("val_acc", "-0.5", "val_acc -0.5"),
        ("best_val_acc", "inf", "best_val_acc inf"),
        ("latency_ms", "-1", "latency_ms -1 (it is finite and not negative)"),
        ("macs", "1e999", "macs inf"),
        ("training_time", "-0.1", "training_time -0.1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"block,position,seed,{name}\nA,mid,0,0.5\nA,mid,1,{value}\n")
    with pytest.raises(UsageError, match=re.escape(says)):
        read_csv(path)


def test_a_missing_number_and_any_loss_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("block,position,seed,val_acc,val_loss\nA,mid,0,nan,inf\nA,mid,1,1,-3\n")
    assert [row["val_loss"] for row in read_csv(path)] == [float("inf"), -3]


def test_missing_csv_and_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(StoreError, match="folder"):
        export_csv([], tmp_path / "results.csv")


def test_disk_full_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_csv(rows([trial(seed=0)]), tmp_path / "results.csv")
    before = path.read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        export_csv(rows([trial(seed=1)]), path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]


def test_tables_joined_are_one_table_and_other_tables_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = csv_text(rows([trial(seed=0, val_acc=0.5), trial(seed=1, val_acc=0.7)]))
    path = tmp_path / "twice.CSV"
    path.write_text(table + table)
    assert [row["seed"] for row in read_rows(path)] == [0, 1, 0, 1]
    header, *lines = table.splitlines()
    other = ",".join(reversed(header.split(",")))
    path.write_text("\n".join([header, *lines, other, *lines]) + "\n")
    with pytest.raises(UsageError, match="line 4: no number in"):
        read_rows(path)
    for names in ("block,position,val_acc,val_acc", "block,position,own,own"):
        path.write_text(f"{names}\nA,mid,0.5,0.9\n")
        with pytest.raises(UsageError, match="is there twice"):
            read_rows(path)
    for torn in ('A,mid,"0.5', "A,mid,0.5", "A,mi"):  # who knows what was to follow
        path.write_text(f"block,position,val_acc\nB,mid,0.5\n{torn}")
        assert [row["block"] for row in read_rows(path)] == ["B"]
        assert "line 3: it does not end" in caplog.text
        caplog.clear()
    path.write_text('block,position,val_acc\nB,mid,0.5\nA,mid,"0.5\nC,mid,0.5\n')
    with pytest.raises(UsageError, match="after line 2: unexpected end"):
        read_rows(path)
    path.write_text("block,position,val_acc\nA,mid," + "x" * 200_000)
    with pytest.raises(UsageError, match="line 1: field larger"):
        read_rows(path)


def test_a_place_is_told_by_what_lies_there(tmp_path: Path) -> None:
    Outputs.at(tmp_path / "R.SQLITE").store().add(trial(val_acc=0.5))
    assert (tmp_path / "R.sqlite").is_file() and Outputs.at(
        tmp_path / "R.CSV"
    ).database == tmp_path / "R.sqlite"
    (tmp_path / "R.sqlite").rename(tmp_path / "elsewhere.db")
    assert read_rows(tmp_path / "elsewhere.db")[0]["val_acc"] == 0.5
    with pytest.raises(UsageError, match=r"elsewhere\.db is a file"):
        Outputs.at(tmp_path / "elsewhere.db")


def timed(way: str, ms: float, subject: str = "ResNetBasicBlock/mid", **values: str | float) -> Record:
    samples = {"network_batch1_ms": [ms + 0.001 * i for i in range(9)]}
    return Record("latency", NetworkSpec(subject).timing_key(32), subject, {}, samples=samples, values=dict(values),
                  environment={"timed_on": way})  # fmt: skip


def test_times_of_one_way_alone_are_in_a_table() -> None:
    trials = [trial(), trial("EdgeResidual/mid")]
    both = [timed("cpu, fp32, 2 threads", 1), timed("cpu, fp32, 2 threads", 2, "EdgeResidual/mid")]
    other = timed("cpu, bf16, 2 threads", 0.1)  # newer, of one network alone
    for latencies in ([*both, other], [other, *both], [both[0], other, both[1]]):
        table = rows(trials, latencies)
        assert [row["latency_ms"] for row in table] == [1.004, 2.004]
        assert {row["latency_device"] for row in table} == {"cpu, fp32, 2 threads"}
    asked = rows(trials, [*both, other], timed_on="bf16")
    assert [row["latency_ms"] for row in asked] == [pytest.approx(0.104), None]
    assert rows(trials[:1], [both[0], other])[0]["latency_device"] == "cpu, bf16, 2 threads", (
        "of two the newer"
    )
    again = timed("cpu, fp32, 2 threads", 3)
    assert rows(trials, [*both, other, again])[0]["latency_ms"] == 3.004, "within a way the newest"
    with pytest.raises(UsageError, match="there are times on: cpu, fp32, 2 threads; cpu, bf16"):
        rows(trials, [*both, other], timed_on="channels_last")


def test_a_time_has_its_interval_and_its_doubt(tmp_path: Path) -> None:
    row = rows([trial()], [timed("cpu", 1, network_batch1_doubt="A/A 1.30")])[0]
    assert (row["latency_low_ms"], row["latency_high_ms"]) == (
        1.001,
        1.007,
    )  # second of nine: 2 * 10 / 2^9 < 5 %
    assert (row["latency_n"], row["latency_doubt"]) == (9, "A/A 1.30")
    with_check = rows([trial()], [timed("cpu", 1, network_checked=3e-7)])[0]
    assert with_check["latency_checked"] == 3e-7 and row["latency_checked"] is None
    older = rows([trial()], [latency()])[0]
    assert older["latency_doubt"] == "only 3 samples" and older["latency_low_ms"] is None
    store = Outputs.at(tmp_path).store()
    for record in (trial(), timed("cpu, fp32", 1), timed("cpu, bf16", 2)):
        store.add(record)
    assert read_rows(tmp_path, timed_on="fp32")[0]["latency_ms"] == 1.004, (
        "older times of another way are kept"
    )


def test_the_time_of_ones_own_block_stays_with_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "class Mine:\n    def __init__(self, in_channels, out_channels, stride=1): pass\n"
    )
    spec = TrialSpec(network=NetworkSpec("mine.py:Mine/mid"))
    key = spec.network.timing_key(32)
    done = Record(
        "trial", spec.fingerprint(), spec.network.subject, spec.to_json(), values={"timing_key": key}
    )
    timing = Record("latency", key, spec.network.subject, {}, samples={"network_batch1_ms": [2.0]})
    assert rows([done], [timing])[0]["latency_ms"] == 2.0
    Path("mine.py").write_text("# another file now")
    assert rows([done], [timing])[0]["latency_ms"] == 2.0
    Path("mine.py").unlink()
    assert rows([done], [timing])[0]["latency_ms"] == 2.0


def test_a_table_of_budgets_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("block,position,budget,budget_ratio,val_acc\nRepMixer,mid,iso-macs 1,0.99,0.5\n")
    (row,) = read_csv(path, verify=False)
    assert (row["budget"], row["budget_ratio"]) == ("iso-macs 1", 0.99)
    assert {"budget", "lr_among", "filler", "transition", "status", "block"} <= TEXTS <= COLUMNS.keys()
    assert not TEXTS & {"seed", "lr", "epochs", "budget_ratio", "macs", *FRACTIONS}
