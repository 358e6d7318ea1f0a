"""Tests mirror the package: from the path of a file one finds its tests, and from that of a test what it is of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import tests_of as finder

APART = {"reference", "fuzz", "safety"}
"""Folders of tests of no room: slow truths, and what is tried on all rooms."""


def test_folders_of_tests_are_folders_of_the_package() -> None:
    folders = {
        path.parent.relative_to(finder.ROOT / "tests") for path in (finder.ROOT / "tests").rglob("test_*.py")
    }
    rooms = {folder for folder in folders if not APART & set(folder.parts)}
    assert not [str(room) for room in rooms if not (finder.ROOT / "blockzoo" / room).is_dir()]


@pytest.mark.slow
def test_each_file_has_tests() -> None:
    files = [
        path.relative_to(finder.ROOT)
        for path in (finder.ROOT / "blockzoo").rglob("*.py")
        if path.stem[:2] != "__"
    ]
    assert len(files) > 400 and all(finder.tests_of(path) for path in files)


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("blockzoo/core/text.py", "tests/core/test_text.py"),
        ("blockzoo/core/scan.py", "tests/core/test_columns.py"),
        ("blockzoo/cli/store/merge.py", "tests/core/test_merging_stores.py"),
        ("blockzoo/blockwise/units/norms.py", "tests/blockwise/units/test_units.py"),
    ],
)
def test_they_are_those_one_would_name(path: str, first: str) -> None:
    assert first in map(str, finder.tests_of(Path(path)))


def test_they_are_printed() -> None:
    words = [sys.executable, "scripts/tests_of.py", "blockzoo/core/text.py"]
    done = subprocess.run(words, cwd=finder.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tests/core/test_text.py"]


def test_folders_of_tests_are_packages() -> None:
    # Where they are not, two files of one name are one module to pytest, and which is collected depends on how it is called.
    folders = {path.parent for path in (finder.ROOT / "tests").rglob("*.py")}
    assert not [
        str(folder.relative_to(finder.ROOT)) for folder in folders if not (folder / "__init__.py").is_file()
    ]
