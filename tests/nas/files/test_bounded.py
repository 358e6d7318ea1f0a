"""Small files that would take all memory or all time are refused by name, before they take it."""

from __future__ import annotations

import json
import os
import pickle
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.core.bounds import FLOOR, MULTIPLE, VARIABLE, TooLarge
from blockzoo.core.errors import DataError
from blockzoo.nas.files.pickled import load_plain, unfolded_bytes
from blockzoo.nas.space.published import space_of


def head(kind: str, columns: str, form: str, more: str = "") -> bytes:
    return (
        f"---\nversion: 1\ndataset_type: {kind}\ncolumns: [{columns}]\nformat: {form}\n{more}---\n".encode()
    )


def bomb(depth: int) -> Any:
    value: Any = [1.0]
    for _ in range(depth):
        value = [value, value]
    return value


def zeros(rows: int, columns: str, types: str) -> bytes:
    """A .blox of that many rows, all bytes zero: a thousandth of what it inflates to."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(struct.pack("<QI", 0, rows))]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(rows >> 20)]
    parts += [packer.compress(bytes(rows & (1 << 20) - 1)), packer.flush()]
    return head("env", columns, "custom", f"column_types: {{{types}}}\n") + b"".join(parts)


def native_text(rows: int, longest: int) -> bytes:
    """One long text and many empty ones, checksums right."""
    start = head("env", "gpu", "native")
    arrays = {"values": np.full(longest, 97, "|u1"), "ends": np.full(rows, longest, "<u4")}
    entries, body = [], b""
    for role, array in arrays.items():
        raw = array.tobytes()
        entries.append(
            {
                "name": "gpu",
                "role": role,
                "kind": "str",
                "total": 0,
                "dtype": array.dtype.str,
                "shape": [len(array)],
            }
        )
        entries[-1] |= {"at": len(body), "crc32": [zlib.crc32(raw)]}
        body += raw + bytes(-len(raw) % 64)
    directory = json.dumps(entries).encode()
    start += (
        struct.pack("<4sII", b"BZN2", len(directory), zlib.crc32(directory, zlib.crc32(start))) + directory
    )
    return start + bytes(-len(start) % 64) + body


def long_cell(rows: int) -> bytes:
    lines = b"".join(b"%032x,a\r\n" % row for row in range(rows))
    return head("env", "model_hash, gpu", "csv") + lines + b"0" * 32 + b"," + b"x" * 131_000 + b"\r\n"


def no_width(rows: int) -> bytes:
    payload = zlib.compress(struct.pack("<QI", 0, rows))
    return head("training", "val_top1", "custom", "column_types: {val_top1: b_0_0_0}\n") + payload


FILES = {
    "text.csv": lambda: long_cell(12_000),
    "text.native": lambda: native_text(20_000, 200_000),
    "walk.blox": lambda: zeros(60_000_000, "gpu", "gpu: str"),
    "numbers.blox": lambda: zeros(200_000_000, "params", "params: int"),
    "nothing.blox": lambda: no_width(2**32 - 1),
    "lists.pickle": lambda: (
        head("training", "model_hash, val_top1", "pickle") + pickle.dumps([("0" * 32, bomb(27))], protocol=4)
    ),
    "vectors.pickle": lambda: (
        head("static", "model_hash, arch_vec", "pickle") + pickle.dumps([("0" * 32, bomb(27))], protocol=4)
    ),
    "hashes.pickle": lambda: head("static", "model_hash", "pickle") + pickle.dumps([(bomb(27),)], protocol=4),
    "texts.pickle": lambda: (
        head("env", "gpu", "pickle") + pickle.dumps([("x" * 1_000_000,), *[("a",)] * 5000], protocol=4)
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_small_file_that_would_take_much_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name]())
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(DataError, match=rf"{name}.*") as refused:
        nas.read_dataset_file(path, allow_pickle=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < FLOOR + MULTIPLE * path.stat().st_size and time.process_time() - begin < 5
    assert "more than" in str(refused.value)


def test_rows_of_no_bytes_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "few.blox"
    path.write_bytes(no_width(1000))
    assert nas.read_dataset_file(path)[1]["val_top1"].tolist() == [0.0] * 1000


def test_a_space_that_no_file_can_ask_for_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "blox-base-0.csv"
    space = "search_space: {ops: [a, b, c], nodes: 5, stages: 3}\n"
    path.write_bytes(head("training", "model_hash, val_top1", "csv", space) + b"0" * 32 + b",1.0\r\n")
    with pytest.raises(DataError, match=r"blox-base-0\.csv: its search_space cannot be"):
        nas.from_folder(tmp_path)


def test_who_trusts_a_file_says_how_much_it_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.csv"
    path.write_bytes(long_cell(500))
    with pytest.raises(TooLarge, match=r"250 MiB.*--max-memory 501MiB"):
        nas.read_dataset_file(path)
    monkeypatch.setenv(VARIABLE, "501MiB")
    assert len(nas.read_dataset_file(path)[1]["gpu"][-1]) == 131_000
    monkeypatch.setenv(VARIABLE, "1KB")
    path.write_bytes(long_cell(1))
    with pytest.raises(TooLarge):
        nas.read_dataset_file(path)


@pytest.mark.parametrize("words", [["--max-memory", "501MiB"], ["--max_memory=501MiB"]])
def test_every_command_takes_the_limit(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from blockzoo.cli.app import run

    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "text.csv"
    path.write_bytes(long_cell(500))
    assert run(["nas", "info", str(path)]) == 2 and "--max-memory 501MiB" in capsys.readouterr().err
    assert run([words[0], *words[1:], "nas", "info", str(path)]) == 0
    assert run(["nas", "info", str(path), *words]) == 0 and VARIABLE not in os.environ
    assert run(["nas", "info", str(path), "--max-memory"]) == 2
    assert "with a size: --max-memory 8GiB" in capsys.readouterr().err


def test_shared_parts_are_counted_where_they_stand() -> None:
    """By hand: a list is 56 bytes, a place in it 8, a number 32."""
    inner = [1.0, 2.0]
    assert unfolded_bytes(inner) == 56 + 2 * (8 + 32)
    assert unfolded_bytes([inner, inner]) == 56 + 2 * (8 + unfolded_bytes(inner))
    assert unfolded_bytes({"a": inner}) == 56 + (8 + 56 + 4) + (8 + unfolded_bytes(inner))
    own: list[Any] = []
    own.append(own)
    with pytest.raises(DataError, match="holds itself"):
        load_plain(pickle.dumps(own, protocol=4))
    with pytest.raises(TooLarge):
        load_plain(pickle.dumps(bomb(40), protocol=4))


@pytest.mark.parametrize(
    "space",
    [
        {"nodes": 5},
        {"nodes": 4},
        {"nodes": 10**9},
        {"stages": 10**9},
        {"stages": 11},
        {"nodes": True},
        {"ops": "conv"},
    ],
)
def test_a_header_cannot_ask_for_a_space_that_takes_forever(space: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="search_space cannot be"):
        space_of({"search_space": {"ops": ["a", "b", "c"], "nodes": 2, "stages": 3, **space}})


def test_aliases_in_a_header_are_counted(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    path = tmp_path / "x.csv"
    path.write_bytes(
        head("training", "model_hash", "csv", "\n".join([*lines, "part: *a8"]) + "\n") + b"0" * 32
    )
    with pytest.raises(DataError, match=r"x\.csv.*aliases make more than"):
        nas.read_dataset_file(path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"x\.csv: it is no file"):
        nas.read_dataset_file(tmp_path / "x.csv")


# --- checksums ----------------------------------------------------------------------------------------


def written(folder: Path, suffix: str) -> Path:
    header = {
        "dataset_type": "training",
        "search_space": {"ops": ["conv", "mbconv"], "nodes": 2, "stages": 3},
    }
    return nas.write_dataset_file(
        folder / f"x{suffix}", header, {"model_hash": ["0" * 32], "test_top1": [50.0]}
    )


@pytest.mark.parametrize("suffix", [".native", ".blox", ".csv", ".pickle"])
def test_swapped_operations_in_a_header_are_noticed(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    swapped = path.read_bytes().replace(b"- conv\n  - mbconv", b"- mbconv\n  - conv")
    assert swapped != path.read_bytes() and nas.read_dataset_file(path, allow_pickle=True)
    path.write_bytes(swapped)
    with pytest.raises(DataError, match=rf"x{suffix}.*(checksum|SHA-256)"):
        nas.read_dataset_file(path, allow_pickle=True)


def test_what_lies_beside_a_file_is_what_sha256sum_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import hashlib

    path = written(tmp_path, ".csv")
    beside = tmp_path / "x.csv.sha256"
    assert beside.read_text() == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  x.csv\n"
    nas.read_dataset_file(path)
    assert not caplog.messages
    beside.unlink()
    for _ in range(2):
        nas.read_dataset_file(path)
    assert [m for m in caplog.messages if "unverified" in m and "x.csv" in m] == caplog.messages[:1]
    beside.write_text("nonsense")
    with pytest.raises(DataError, match="is no checksum"):
        nas.read_dataset_file(path)
