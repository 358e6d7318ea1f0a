"""The hashes of the space take seconds the first time: all tests of this folder share one cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ORACLES = Path(os.environ.get("BLOCKZOO_ORACLES", Path(__file__).parents[3] / "shared" / "oracles")) / "blox"


@pytest.fixture(scope="session", autouse=True)
def cache_of_shared_fixtures(nas_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLOCKZOO_CACHE", str(nas_cache))
        yield


@pytest.fixture(autouse=True)
def own_cache(nas_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCKZOO_CACHE", str(nas_cache))


@pytest.fixture(scope="session")
def oracles() -> Path:
    if not ORACLES.is_dir():
        pytest.skip(f"the independent facts are not at {ORACLES}")
    return ORACLES
