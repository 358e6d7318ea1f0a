"""What all tests share: nothing is left behind, and tests on real data say why they are skipped."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from blockzoo.data import ImageData


CACHES = itertools.count()


@pytest.fixture(autouse=True)
def own_cache(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    nas_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each test has a cache of its own, those on real data one together, no data folders but that one, and trusts nothing.

    The hashes of the search space, which take seconds, are the same in all of them.
    """
    monkeypatch.setenv("BLOCKZOO_CONFIG", str(tmp_path / "configuration"))
    if request.node.get_closest_marker("realdata"):
        monkeypatch.setenv("BLOCKZOO_CACHE", str(request.getfixturevalue("shared_cache")))
        return
    own = tmp_path_factory.mktemp(f"cache-{next(CACHES)}", numbered=False)  # numbering looks at all there are
    (own / "nas").symlink_to(nas_cache / "nas")
    monkeypatch.setenv("BLOCKZOO_CACHE", str(own))


@pytest.fixture(scope="session")
def nas_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "nas-cache"
    (made / "nas").mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """Small images that come with scikit-learn, 16 x 16."""
    from blockzoo.data import load_dataset

    return load_dataset("digits", image_size=16)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real data are asked for; and the pages come first, each one long test, which would else run alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")
    if reason := _no_real_data():
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason=reason))


def _no_real_data() -> str:
    roots = [Path(p) for p in os.environ.get("BLOCKZOO_DATA", "").split(os.pathsep) if p]
    if not roots:
        return "BLOCKZOO_DATA is not set: name the folder that holds cifar10/"
    if not any((root / name).is_dir() for root in roots for name in ("cifar10", "cifar-10-batches-py")):
        return f"BLOCKZOO_DATA={os.environ['BLOCKZOO_DATA']} holds no cifar10/"
    return ""
