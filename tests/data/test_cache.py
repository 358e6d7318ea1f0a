from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blockzoo.core.errors import DataError
from blockzoo.data import cache, cache_folder
from blockzoo.data.cache import cached_array


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, out: np.ndarray) -> None:
        self.calls += 1
        out[:] = np.arange(out.size).reshape(out.shape)


def array(fill: Counted, story: str = "a") -> np.ndarray:
    return cached_array("test", story, (10, 20), np.uint8, fill)


def only_file() -> Path:
    (path,) = (cache_folder() / "arrays").iterdir()
    return path


def test_an_array_is_made_once_for_one_story() -> None:
    fill = Counted()
    first, second = array(fill), array(fill)
    assert fill.calls == 1 and isinstance(second, np.memmap) and np.array_equal(first, second)
    array(fill, "b")
    assert fill.calls == 2


@pytest.mark.parametrize("damage", [b"", b"rubbish", None], ids=["empty", "rubbish", "cut short"])
def test_a_damaged_cache_is_rebuilt(damage: bytes | None) -> None:
    fill = Counted()
    array(fill)
    only_file().write_bytes(only_file().read_bytes()[:-1] if damage is None else damage)
    assert array(fill)[9, 19] == 199 and fill.calls == 2
    array(fill)
    assert fill.calls == 2


def test_a_cache_of_another_shape_is_rebuilt() -> None:
    fill = Counted()
    array(fill)
    np.save(only_file(), np.zeros((3, 3), np.uint8))
    assert array(fill).shape == (10, 20)


def test_writing_into_the_array_leaves_the_cache_alone() -> None:
    fill = Counted()
    array(fill)[:] = 0
    assert array(fill)[9, 19] == 199 and fill.calls == 1


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file, so no folder")
    monkeypatch.setenv("BLOCKZOO_CACHE", str(tmp_path / "file"))
    assert array(Counted())[9, 19] == 199


def test_a_full_disk_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10}))
    assert array(Counted())[9, 19] == 199
    assert not list((cache_folder() / "arrays").iterdir())


def test_what_fits_nowhere_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="BLOCKZOO_CACHE"):
        cached_array("huge", "", (2**50,), np.uint8, Counted())
