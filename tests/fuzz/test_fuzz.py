"""No damaged file of any format does more than the reader promises; and the harness sees it where one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import DataError
from tests.fuzz import entries
from tests.fuzz.formats import FORMATS, MIB, Format
from tests.fuzz.harness import OTHER, REFUSED, RIGHT, run
from tests.fuzz.mutations import mutated

assert entries  # registers the formats


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_right_content_or_an_error_that_names_the_file(name: str) -> None:
    tally = run(FORMATS[name], range(FORMATS[name].quick))
    assert tally.faults == []
    seen = tally.counts[REFUSED] + tally.counts[OTHER]
    assert seen > FORMATS[name].quick // 2, (
        "hardly any mutation changed what was read: is the file read at all?"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutations(name: str) -> None:
    assert run(FORMATS[name], range(300, 20_300)).faults == []


# --- the harness itself -------------------------------------------------------------------------------

CONTENT = b"a: 1\nb: [2, 3]\n" * 20


def _written(folder: Path) -> list[Path]:
    (folder / "x.txt").write_bytes(CONTENT)
    return [folder / "x.txt"]


def _reader(fault: Any) -> Any:
    """The content of an undamaged file; of a damaged one what `fault` does."""

    def read(path: Path) -> Any:
        content = path.read_bytes()
        return content if content == CONTENT else fault(path, content)

    return read


def _raise(error: BaseException) -> Any:
    raise error


class _Unescaped(DataError):
    """As an error would be that did not print itself plainly."""

    __str__ = Exception.__str__


def _hog(path: Path, content: bytes) -> None:
    held = b"x" * (600 * MIB)  # more than the address space allowed: seen even where pages are swapped out
    _raise(DataError(f"{path.name} {len(held)}"))


def _spin(path: Path, content: bytes) -> None:
    sum(range(30_000_000))
    _raise(DataError(path.name))


def _die(path: Path, content: bytes) -> None:
    import os

    os._exit(3)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (lambda path, content: content, "wrong content"),
        (lambda path, content: _raise(KeyError("b")), "raw: KeyError at test_fuzz.py"),
        (lambda path, content: _raise(MemoryError()), "memory: "),
        (lambda path, content: _raise(DataError("something is wrong")), "names no file"),
        (lambda path, content: _raise(_Unescaped(f"{path}: \x1b[2J")), "unprintable message"),
        (lambda path, content: _raise(DataError(f"{path}: " + "x" * 5000)), "long message"),
        (_hog, "memory: "),
        (_spin, "slow"),
        (_die, "died"),
    ],
)
def test_the_harness_sees_what_should_not_be(fault: Any, outcome: str) -> None:
    kind = Format("x", _written, _reader(fault), checksum=True, text=True, seconds=0.3)
    tally = run(kind, range(3))
    assert len(tally.faults) == 3 and all(said.startswith(outcome) for _, said in tally.faults), tally.faults


def test_the_harness_sees_a_reader_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("tests.fuzz.harness.HANGS_AFTER_S", 0.3)
    tally = run(Format("x", _written, _reader(lambda path, content: time.sleep(60))), range(2))
    assert [said.partition(":")[0] for _, said in tally.faults] == ["hangs", "hangs"]


def test_the_harness_lets_pass_what_should_be() -> None:
    def noticed(path: Path, content: bytes) -> bytes:
        return content if number(content) else _raise(DataError(f"{path}: line 1"))

    def number(content: bytes) -> int:
        return sum(content) % 2

    tally = run(Format("x", _written, _reader(noticed)), range(50))
    assert tally.faults == [] and set(tally.counts) <= {RIGHT, OTHER, REFUSED}
    assert tally.counts[OTHER] > 5 and tally.counts[REFUSED] > 5


def test_a_mutation_is_the_same_on_every_machine() -> None:
    contents = [mutated(CONTENT, "x", number, text=True) for number in range(200)]
    assert contents == [mutated(CONTENT, "x", number, text=True) for number in range(200)]
    assert len(set(contents)) > 150 and contents[0] != mutated(CONTENT, "y", 0, text=True)
