"""California housing from the published archive, against scikit-learn's own reading; split before anything is learnt of it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import joblib
import numpy as np
import pytest
from sklearn.datasets import fetch_california_housing

from blockzoo.blockwise.run import regressions
from blockzoo.blockwise.run.sources import load_problem
from blockzoo.core.errors import DataError
from tests.blockwise.runs import config

TABLE = np.random.default_rng(1).uniform(1, 9, (60, 9)).round(3)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive of the published form, which passes for the published one."""
    lines = io.BytesIO()
    np.savetxt(lines, TABLE, delimiter=",")
    path = tmp_path / "there" / regressions.ARCHIVE
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as file:
        entry = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
        entry.size = lines.tell()
        lines.seek(0)
        file.addfile(entry, lines)
    monkeypatch.setattr(regressions, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_features_are_those_of_scikit_learn_standardised_by_the_training_rows(
    archive: Path, tmp_path: Path
) -> None:
    joblib.dump(TABLE[:, [8, 7, 2, 3, 4, 5, 6, 1, 0]], tmp_path / "cal_housing_py3.pkz", compress=6)
    theirs = fetch_california_housing(data_home=str(tmp_path), download_if_missing=False)
    asked = config(dataset="california_housing", data_dir=str(archive.parent), limit_train=None)
    problem = load_problem(asked)
    held = np.random.default_rng(0).permutation(60) < 12
    for name, whole in (("x", theirs.data), ("y", theirs.target[:, None])):
        train, validation = (getattr(s, name).numpy() for s in (problem.train, problem.validation))
        assert np.abs(train.mean(0)).max() < 1e-6 and np.abs(train.std(0) - 1).max() < 1e-6
        mean, deviation = whole[~held].mean(0), whole[~held].std(0)
        assert np.allclose(train, (whole[~held] - mean) / deviation, atol=1e-5)
        assert np.allclose(validation, (whole[held] - mean) / deviation, atol=1e-5)


def test_nothing_is_read_that_is_not_the_archive(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wicked:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "executed",)  # type: ignore[return-value]

    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(DataError, match="not the published archive"):
        regressions.load_regression("california_housing", str(archive.parent))
    archive.unlink()
    joblib.dump(Wicked(), archive.parent / "cal_housing_py3.pkz")
    monkeypatch.setattr(regressions, "URL", "http://127.0.0.1:9/cal_housing.tgz")
    with pytest.raises(DataError, match=r"cal_housing\.tgz.*pickle"):
        regressions.load_regression("california_housing", str(archive.parent))
    assert not (tmp_path / "executed").exists()


def test_the_archive_is_downloaded_and_checked(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/{archive.name}"
            monkeypatch.setattr(regressions, "URL", address)
            (x, _), _ = regressions.load_regression("california_housing", str(tmp_path / "new"))
            assert x.shape == (48, 8) and (tmp_path / "new" / archive.name).is_file()
            monkeypatch.setattr(regressions, "SHA256", "0" * 64)
            with pytest.raises(DataError, match="what came is not the file"):
                regressions.load_regression("california_housing", str(tmp_path / "other"))
            assert not list((tmp_path / "other").glob("*"))
        finally:
            server.shutdown()
