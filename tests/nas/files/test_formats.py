"""Dataset files: what others wrote is read, what is written is read back, and nothing damaged gets through."""

from __future__ import annotations

import io
import pickle
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import blockzoo.nas as nas
from blockzoo.core.errors import CheckFailed, DataError, UsageError
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files import bits, header, native, pickled, text
from blockzoo.nas.files import blox as custom
from blockzoo.nas.files.columns import ACCURACY, Column, percent_table
from blockzoo.nas.files.errors import DamagedFile
from blockzoo.nas.files.table import Table

SUFFIXES = ("native", "blox", "csv", "pickle")
PARTS = ("base-0", "ext-0", "info", "env-0", "bench-synth-cpu")
SPACE = nas.MacroSpace()


def head(dataset_type: str = "training", **fields: Any) -> dict[str, Any]:
    return {**header_of(SPACE, dataset_type), **fields}


def hashes(n: int, seed: int = 0) -> list[str]:
    return SPACE.hashes()[SPACE.sample(n, seed)].tolist()


def example(n: int = 5, epochs: int = 4, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "model_hash": hashes(n, seed),
        "val_top1": percent_table(5000)[rng.integers(100, 4000, (n, epochs))],
        "test_top1": percent_table(10_000)[rng.integers(100, 8000, n)],
        "train_time_s": rng.integers(0, 2**32, n),
        "val_loss": np.round(rng.uniform(0, 16, (n, epochs)), 6),
    }


# --- what others wrote ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_all_formats_of_others_hold_the_same(part: str, oracles: Path) -> None:
    tables = {
        ext: nas.read_dataset_file(oracles / "tiny" / f"blox-{part}.{ext}", allow_pickle=True)[1]
        for ext in SUFFIXES[1:]
    }
    assert tables["blox"].num_rows == 64
    for ext in ("csv", "pickle"):
        assert tables["blox"].differences(tables[ext]) == []


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("ext", ["blox", "csv"])
def test_files_of_others_are_written_again_byte_by_byte(
    part: str, ext: str, oracles: Path, tmp_path: Path
) -> None:
    theirs = oracles / "tiny" / f"blox-{part}.{ext}"
    read = nas.read_dataset_file(theirs)
    ours = nas.write_dataset_file(tmp_path / theirs.name, *read)
    a, b = theirs.read_bytes(), ours.read_bytes()
    start = header.parse(a)[1]
    assert a[:start] == b[:start]
    if ext == "csv":
        assert a == b
    else:
        assert zlib.decompress(a[start:]) == zlib.decompress(b[start:])


def test_every_value_of_others_against_their_pickle(oracles: Path) -> None:
    raw = (oracles / "tiny" / "blox-base-0.pickle").read_bytes()
    rows = pickle.loads(raw[header.parse(raw)[1] :])
    _, table = nas.read_dataset_file(oracles / "tiny" / "blox-base-0.blox")
    for row, (text_, curve, test, seconds) in enumerate(rows):
        assert table["model_hash"][row] == text_
        assert table["val_top1"][row].tolist() == curve
        assert (table["test_top1"][row], table["train_time_s"][row]) == (test, seconds)


# --- round trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_comes_back(suffix: str, tmp_path: Path) -> None:
    path = nas.write_dataset_file(tmp_path / f"x.{suffix}", head(epochs=4), example())
    read_header, table = nas.read_dataset_file(path, allow_pickle=True)
    assert read_header["epochs"] == 4 and list(table) == list(example())
    for name, values in example().items():
        assert table[name].tolist() == np.asarray(values).tolist(), name


lists = st.lists(st.integers(0, 5000).map(lambda c: round(c / 5000 * 100, 3)), max_size=6)
losses = st.lists(st.integers(0, 2**24 - 1).map(lambda n: round(n * 1e-6, 6)), max_size=6)
texts = st.text(st.characters(codec="ascii", exclude_characters="\x00\r\n"), max_size=30).filter(
    lambda s: s == s.strip()
)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    """Text that reads as a number comes back from CSV as one."""
    table = {"model_hash": hashes(2), "name": ["007", "1.0"]}
    nas.write_dataset_file(tmp_path / "x.native", head(), table)
    with pytest.raises(CheckFailed, match=r"column 'name' differs.*native"):
        nas.write_dataset_file(tmp_path / "x.csv", head(), table)
    assert [path.name for path in tmp_path.iterdir()] == ["x.native"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(lists, losses, texts, st.integers(0, 2**32 - 1), st.integers(0, 10_000)),
        min_size=1,
        max_size=12,
    )
)
def test_random_tables_come_back_from_every_format(tmp_path: Path, rows: list[Any]) -> None:
    """Lists of different lengths, empty ones, awkward text, the largest and the smallest numbers."""
    curve, loss, words, whole, hits = zip(*rows, strict=True)
    table = Table(
        {
            "model_hash": hashes(len(rows)),
            "val_top1": list(map(np.array, curve)),
            "val_loss": list(map(np.array, loss)),
            "name": [f"v{word}" for word in words],
            "train_time_s": np.array(whole, np.uint64),
            "test_top1": percent_table(10_000)[list(hits)],
        }
    )
    for suffix in SUFFIXES:
        path = nas.write_dataset_file(tmp_path / f"t.{suffix}", head(), table)
        assert nas.read_dataset_file(path, allow_pickle=True)[1].differences(table) == [], suffix


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 32), st.integers(1, 9), st.integers(1, 40), st.integers(0, 5), st.randoms())
def test_bits_of_any_width_against_python_integers(
    width: int, rows: int, count: int, gap: int, rng: random.Random
) -> None:
    values = np.array([[rng.getrandbits(width) for _ in range(count)] for _ in range(rows)], np.uint32)
    packed = bits.pack(values, width)
    for row, raw in zip(values.tolist(), packed, strict=True):
        number = sum(value << (width * i) for i, value in enumerate(row))
        assert int.from_bytes(raw.tobytes(), "little") == number
    size = packed.shape[1]
    buffer = np.zeros(rows * (size + gap) + bits.SPARE, np.uint8)
    table = buffer[: rows * (size + gap)].reshape(rows, size + gap)
    table[:, gap:] = packed
    out = np.empty((rows, count), np.uint32)
    bits.unpack(buffer, gap, rows, size + gap, count, width, out)
    assert np.array_equal(out, values)


@pytest.mark.parametrize("spread", [0, 1, 2, 1024, 2048, 4999])
def test_accuracies_whose_spread_is_a_power_of_two(spread: int, tmp_path: Path) -> None:
    values = percent_table(5000)[np.array([[1, 1 + spread], [1 + spread, 1]]) % 5001]
    path = nas.write_dataset_file(tmp_path / "x.blox", head(), {"model_hash": hashes(2), "val_top1": values})
    assert nas.read_dataset_file(path)[1]["val_top1"].tolist() == values.tolist()


def test_every_percent_rounds_as_published() -> None:
    for total in (5_000, 10_000, 45_000):
        assert percent_table(total).tolist() == [round(c / total * 100, 3) for c in range(total + 1)]


def test_the_bit_count_is_the_published_one(tmp_path: Path) -> None:
    path = nas.write_dataset_file(tmp_path / "x.blox", head(), example(n=7, epochs=5))
    read_header, start = header.parse(path.read_bytes())
    counted, rows = custom.PREFIX.unpack_from(zlib.decompress(path.read_bytes()[start:]))
    width = int(read_header["column_types"]["val_top1"].rstrip("]").rpartition("_")[2])
    curve, loss = 8 + 5 * width, 8 + 5 * 24
    assert rows == 7
    assert counted == 32 + 7 * (128 + curve + curve % 8 + 16 + 32 + loss + loss % 8)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("val_loss", [float("nan"), 1.0], "NaN"),
        ("val_loss", [17.0, 1.0], "16.777215"),
        ("val_loss", [0.1234567, 1.0], "six decimals"),
        ("val_top1", [61.2345, 1.0], "count of 5,000"),
        ("name", ["é", "x"], "ASCII"),
        ("name", ["x" * 256, "x"], "255 characters"),
        ("val_loss", [[0.5] * 256, [0.5] * 256], "up to 255"),
    ],
)
def test_what_blox_cannot_hold_is_refused_with_its_column(
    column: str, values: Any, reason: str, tmp_path: Path
) -> None:
    table = {"model_hash": hashes(2), column: values}
    with pytest.raises(DataError, match=rf"{column}.*{reason}"):
        nas.write_dataset_file(tmp_path / "x.blox", head(), table)
    assert not list(tmp_path.iterdir())
    kept = nas.read_dataset_file(nas.write_dataset_file(tmp_path / "x.native", head(), table))[1][column]
    np.testing.assert_array_equal(kept, np.array(values))


def test_large_csv_goes_through_arrow_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nas.write_dataset_file(tmp_path / "x.csv", head(), example(n=300, epochs=30))
    slow = nas.read_dataset_file(path)[1]
    monkeypatch.setattr(text, "LARGE", 0)
    read = []
    monkeypatch.setattr(text, "_read_with_python", lambda *a: read.append(a))
    fast = nas.read_dataset_file(path)[1]
    assert not read and fast.differences(slow) == []


def test_large_csv_of_static_facts_goes_through_arrow_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = SPACE.sample(200, seed=3)
    table = {
        "model_hash": SPACE.hashes()[which].tolist(),
        "params": np.arange(200) ** 4,
        "arch_vec": [SPACE.arch_vec(int(i)) for i in which],
    }
    path = nas.write_dataset_file(tmp_path / "x.csv", head("static"), table)
    slow = nas.read_dataset_file(path)[1]
    monkeypatch.setattr(text, "LARGE", 0)
    monkeypatch.setattr(text, "_read_with_python", lambda *a, **k: pytest.fail("not through Arrow"))
    fast = nas.read_dataset_file(path)[1]
    assert fast.differences(slow) == []
    assert SPACE.index(fast["arch_vec"]).tolist() == which.tolist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_versions_that_look_like_numbers_stay_text(suffix: str, tmp_path: Path) -> None:
    table = {
        "model_hash": hashes(2),
        "python": ["3.10", "3.12"],
        "driver": ["550", "1e3"],
        "gpu": ["[1]", ""],
    }
    path = nas.write_dataset_file(tmp_path / f"x.{suffix}", head("env"), table)
    got = nas.read_dataset_file(path, allow_pickle=True)[1]
    assert {name: got[name].tolist() for name in table} == table


def test_columns_are_small_in_memory() -> None:
    table = Table(example(n=200, epochs=200))
    lists = sum(24 + 8 for _ in range(200 * 200 * 2))  # a float object and a pointer to it each
    assert table.nbytes <= lists / 8 * 1.1


# --- damage -----------------------------------------------------------------------------------------


def files(tmp_path: Path) -> list[Path]:
    odd = {"model_hash": hashes(3), "val_loss": [[0.5], [], [1.0, 2.0]], "gpu": ["a", "", 'b,"c']}
    info = {"model_hash": hashes(3), "params": [1, 2, 3], "arch_vec": [SPACE.arch_vec(h) for h in hashes(3)]}
    made = []
    for suffix in SUFFIXES:
        for name, table in (("plain", example()), ("odd", odd), ("info", info)):
            kind = {"plain": "training", "odd": "training", "info": "static"}[name]
            made.append(nas.write_dataset_file(tmp_path / f"{name}.{suffix}", head(kind), table))
    return made


@pytest.mark.parametrize("name", ["plain", "info"])
def test_mutations_of_large_csv(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way through Arrow: each mutation reads, or is one DamagedFile."""
    monkeypatch.setattr(text, "LARGE", 0)
    sound = next(p for p in files(tmp_path) if p.name == f"{name}.csv").read_bytes()
    start, rng, refused = header.parse(sound)[1], random.Random(1), 0
    for _ in range(600):
        raw = bytearray(sound)
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.randrange(start, len(raw))
            raw[place : place + rng.randrange(2)] = rng.choice(
                (b"", b"\xff", b'"', b"[", b"\n", b",", b"9", bytes(1))
            )
        try:
            for column in (table := _read(bytes(raw))[1]):
                table[column]
        except DamagedFile:
            refused += 1
    assert refused > 50


def test_a_count_above_its_total_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums do not help against a file that was made wrong."""
    made = tmp_path / "x.native"
    wrong = Column(ACCURACY, np.array([[10, 5001]], np.uint16), 5000)
    table = Table({"model_hash": hashes(1), "val_top1": wrong})
    with pytest.raises(DamagedFile, match=r"x\.native: an accuracy counts more"):
        nas.write_dataset_file(made, head(), table)
    assert not made.exists()
    monkeypatch.setattr("blockzoo.nas.files.io.written_file", lambda *args: 0.0)
    nas.write_dataset_file(made, head(), table)
    with pytest.raises(DamagedFile, match="more than its 5,000"):
        nas.read_dataset_file(made)[1]["val_top1"]


def _read(raw: bytes) -> tuple[dict[str, Any], Table]:
    """As `read_dataset_file`, without a file."""
    parsed, start = header.parse(raw[: header.LIMIT])
    payload = memoryview(raw)[start:]
    kinds = {"custom": custom.read, "csv": text.read, "pickle": pickled.read}
    if parsed["format"] == "native":
        return parsed, Table(native.read(parsed, payload, head=raw[:start]))
    if parsed["format"] not in kinds:
        raise DamagedFile("unknown format")
    return parsed, Table(kinds[parsed["format"]](parsed, payload))


@pytest.mark.slow
def test_every_truncation_and_every_flipped_bit_of_checked_formats(tmp_path: Path) -> None:
    for suffix in ("native", "blox"):
        raw = nas.write_dataset_file(tmp_path / f"x.{suffix}", head(), example(n=2, epochs=2)).read_bytes()
        start = header.parse(raw)[1]
        sound = _read(raw)[1]
        for end in range(start, len(raw)):
            with pytest.raises(DamagedFile):
                _read(raw[:end])
        for bit in range(8 * start, 8 * len(raw), 3):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                assert _read(bytes(flipped))[1].differences(sound) == []  # padding only
            except DamagedFile:
                pass


def test_bombs_and_absurd_counts_take_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    types = {"model_hash": "hash", "val_loss": "list[float]"}
    start = header.dump(head(columns=list(types), format="custom", column_types=types))
    bomb = zlib.compress(custom.PREFIX.pack(32, 1) + bytes(300_000_000), 9)
    absurd = zlib.compress(custom.PREFIX.pack(32, 2**32 - 1) + bytes(40))
    endless = zlib.compress(custom.PREFIX.pack(32, 4_000_000) + bytes(2000))
    tracemalloc.start()
    for payload in (bomb, absurd, endless):
        (tmp_path / "x.blox").write_bytes(start + payload)
        with pytest.raises(DataError, match=r"x\.blox"):
            nas.read_dataset_file(tmp_path / "x.blox")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"no header at all", "no header"),
        (b"---\n[1, 2\n---\n", "valid YAML"),
        (b"---\nversion: 2\n---\n", "version 2"),
        (b"---\n- 1\n---\n", "a list"),
        (b"---\n" + b"[" * 900 + b"\n---\n", "brackets deep"),
        (b"---\nversion: 1\ndataset_type: training\ncolumns: [a, a]\nformat: custom\n---\n", "twice"),
        (b"---\nversion: 1\ndataset_type: training\ncolumns: [a]\nformat: zip\n---\n", "format 'zip'"),
        (b"---\n" + b"x" * 2000 + b"\n---\n", "1,024"),
        (b"---\n!!python/object/apply:os.system ['true']\n---\n", "valid YAML"),
    ],
)
def test_what_is_no_dataset_file_says_why(raw: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.blox").write_bytes(raw)
    with pytest.raises(DataError, match=reason):
        nas.read_dataset_file(tmp_path / "x.blox")


def test_a_missing_file_and_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        nas.read_dataset_file(tmp_path / "nowhere.blox")
    with pytest.raises(UsageError, match=r"\.native, \.blox"):
        nas.write_dataset_file(tmp_path / "x.zip", head(), example())
    with pytest.raises(UsageError, match="columns"):
        nas.write_dataset_file(tmp_path / "x.csv", head(columns=["a"]), example())


# --- pickles ----------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched"),))


def test_a_pickle_is_not_opened_unasked(tmp_path: Path) -> None:
    path = nas.write_dataset_file(tmp_path / "x.pickle", head(), example())
    with pytest.raises(DataError, match="allow_pickle"):
        nas.read_dataset_file(path)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DamagedFile, match="not opened"):
        pickled.load_plain(pickle.dumps([Evil()], protocol))
    assert not Path("touched").exists()
    assert pickled.load_plain(pickle.dumps([["a", [1.5, None]], {"b": (1, -(2**70))}], max(protocol, 2))) == [
        ["a", [1.5, None]],
        {"b": (1, -(2**70))},
    ]


def test_a_pickle_that_only_takes_memory_is_refused() -> None:
    with pytest.raises(DamagedFile):
        pickled.load_plain(b"\x80\x04]r\xff\xff\xff\xff.")
    with pytest.raises(DamagedFile):
        pickled.load_plain(b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.")


def test_objects_in_an_array_of_objects_stay_apart() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([1, 2]))
    with pytest.raises(DamagedFile):
        pickled.load_plain(buffer.getvalue())
