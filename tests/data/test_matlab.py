"""Matlab files against scipy, which writes them and reads them another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from blockzoo.core.errors import DataError
from blockzoo.data.matlab import arrays


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_are_those_that_scipy_reads(compressed: bool, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    kept = {
        "X": draw.integers(0, 256, (3, 4, 2, 5), np.uint8),
        "y": draw.integers(0, 10, (5, 1)).astype(np.float64),
        "tiny": np.array([[1], [2]], np.uint8),
        "deep": draw.standard_normal((2, 3)).astype(np.float32),
        "other": np.array([[1 + 2j]]),
    }
    path = tmp_path / "x.mat"
    savemat(path, kept, do_compression=compressed)
    names = ("X", "y", "tiny", "deep")
    by_scipy, ours = loadmat(path), arrays(path, names, 1000)
    for name in names:
        assert ours[name].dtype == by_scipy[name].dtype and np.array_equal(ours[name], by_scipy[name])
    for wrong, says in ((("other",), "other is no array of real"), (("z",), "has no array z")):
        with pytest.raises(DataError, match=says):
            arrays(path, wrong, 1000)
    with pytest.raises(DataError, match=r"x\.mat is damaged"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        arrays(path, names, 1000)


def test_more_than_was_promised_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"X": np.zeros((1000, 1000), np.uint8)}, do_compression=True)
    with pytest.raises(DataError, match="larger than it can be"):
        arrays(path, ("X",), 1000)
