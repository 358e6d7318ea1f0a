"""Each check of this lens is seen to fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.core.errors import CheckFailed
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.files.checks import formula_against_records
from blockzoo.nas.files.io import FORMATS
from blockzoo.nas.ranking.predictors.ridge import PairwiseRidge

SPACE = nas.MacroSpace()
TABLE = {"model_hash": [SPACE.hash_alone(i) for i in (5, 7)], "latency": [0.25, 0.5]}
HEADER = {**header_of(SPACE, "benchmarking"), "device": "here"}


@pytest.mark.mutation("dataset-file")
@pytest.mark.parametrize("change", ["value", "hash", "row", "header"])
def test_a_format_that_writes_something_else_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    plain = FORMATS["csv"].write

    def broken(header: Any, columns: Any) -> tuple[Any, Iterator[bytes]]:
        header, pieces = plain(header, columns)
        raw = b"".join(piece if isinstance(piece, bytes) else bytes(piece) for piece in pieces)
        if change == "value":
            raw = raw.replace(b"0.25", b"0.26")
        elif change == "hash":
            raw = raw.replace(TABLE["model_hash"][0].encode(), b"0" * 32)
        elif change == "row":
            raw = raw[: raw.index(b"\n") + 1]
        return header, iter([raw])

    nas.write_dataset_file(tmp_path / "sound.csv", HEADER, TABLE)
    monkeypatch.setattr(FORMATS["csv"], "write", broken)
    if change == "header":
        monkeypatch.setattr("blockzoo.nas.files.io.dump", _of_another_device(nas.io.dump))
    with pytest.raises(CheckFailed, match=r"lost\.csv.*read again"):
        nas.write_dataset_file(tmp_path / "lost.csv", HEADER, TABLE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound.csv", "sound.csv.sha256"]


def _of_another_device(dump: Any) -> Any:
    return lambda header: dump({**header, "device": "elsewhere"})


@pytest.mark.mutation("macro-costs")
def test_a_formula_that_is_wrong_is_noticed_where_the_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, macs = nas.static_info()
    measured = {"params": params[5], "macs": macs[5]}
    assert formula_against_records(5, {"params": int(params[5]), "macs": int(macs[5])}, measured) == 0
    for name in measured:
        with pytest.raises(CheckFailed, match=f"macro:5: {name}"):
            formula_against_records(5, {name: int(measured[name]) + 1}, measured)


@pytest.mark.mutation("fitted-tables")
@pytest.mark.parametrize("change", ["table", "error"])
def test_a_fit_whose_short_ways_are_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    indices = SPACE.sample(40, seed=0)
    targets = np.random.default_rng(0).normal(50, 10, 40)
    PairwiseRidge(SPACE).fit(indices, targets)
    tables, errors = PairwiseRidge._as_tables, PairwiseRidge._leave_one_out

    def swapped(self: PairwiseRidge, *args: Any) -> Any:
        made = tables(self, *args)
        return made._replace(alone=made.alone[::-1])

    if change == "table":
        monkeypatch.setattr(PairwiseRidge, "_as_tables", swapped)
    else:
        monkeypatch.setattr(PairwiseRidge, "_leave_one_out", staticmethod(lambda *args: 0.9 * errors(*args)))
    with pytest.raises(CheckFailed, match="addition" if change == "table" else "leave-one-out"):
        PairwiseRidge(SPACE).fit(indices, targets)
