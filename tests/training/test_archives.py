"""Files that torch saved: verified, plain, and no larger in memory than on disk."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from blockzoo.core.bounds import VARIABLE, TooLarge
from blockzoo.core.errors import DataError, UsageError
from blockzoo.training.archives import read_saved
from blockzoo.training.weights import read_weights


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    shared = torch.randn(4, 5)
    return {
        "a": shared,
        "tied": shared,
        "n": torch.arange(7),
        "half": torch.ones(3, dtype=torch.float16),
        "epoch": 3,
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items()
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_what_was_saved_is_read(legacy: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.pt"
    torch.save(state(), path, _use_new_zipfile_serialization=not legacy)
    assert same(read_saved(path), state())
    assert any("unverified" in message for message in caplog.messages) == legacy


def test_no_altered_byte_gives_other_weights(tmp_path: Path) -> None:
    """Names of records, padding: what is no content may differ; the content never."""
    path, draw, noticed = tmp_path / "x.pt", random.Random(0), 0
    torch.save(state(), path)
    sound = path.read_bytes()
    for place in draw.sample(range(len(sound)), 150):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert same(read_saved(path), state()), place
        except (DataError, RuntimeError):
            noticed += 1
    assert noticed > 75


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(3_000_000_000),
        torch.zeros(1).as_strided((60_000, 60_000), (0, 0)),
        torch.zeros(100, device="meta"),
        torch.eye(3).to_sparse(),
    ],
)
def test_a_tensor_that_is_larger_than_its_file_is_refused(tensor: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"weight": tensor}, path)
    assert path.stat().st_size < 4096
    with pytest.raises(DataError, match=r"x\.pth"):
        read_weights(path)


def test_many_small_views_of_one_storage_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = tmp_path / "x.pth", torch.zeros(1 << 20)
    torch.save({str(i): whole.view(-1) for i in range(40)}, path)
    with pytest.raises(TooLarge, match=r"160 MiB.*--max-memory"):
        read_saved(path)
    monkeypatch.setenv(VARIABLE, "1GiB")
    assert len(read_saved(path)) == 40


def test_a_byte_array_of_any_size_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"x": bytearray(5)}, path)
    with pytest.raises(DataError, match="bytearray"):
        read_saved(path)


def test_records_that_are_compressed_or_there_twice_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "x.pth", tmp_path / "y.pth"
    torch.save({"w": torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DataError, match=r"y\.pth holds compressed"):
        read_saved(other)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"x")
    with pytest.raises(DataError, match=r"x\.pth holds records twice"):
        read_saved(path)


def test_names_within_names_end(tmp_path: Path) -> None:
    own: dict[str, Any] = {}
    own["model"] = own
    torch.save(own, tmp_path / "x.pth")
    with pytest.raises(UsageError, match=r"x\.pth holds names within names"):
        read_weights(tmp_path / "x.pth")


def test_an_archive_behind_another_is_refused(tmp_path: Path) -> None:
    """Python's reader checks the last one, torch reads the first: altered weights would pass as verified."""
    path = tmp_path / "x.pth"
    torch.save({"w": torch.arange(4.0)}, path)
    whole = path.read_bytes()
    altered = whole.replace(torch.arange(4.0).numpy().tobytes(), torch.ones(4).numpy().tobytes())
    assert altered != whole
    path.write_bytes(altered + whole)
    with pytest.raises(DataError, match=r"x\.pth holds something before its records"):
        read_saved(path)
