"""A few tries of each attempt hold; and each attempt sees what it is for, where the guard is taken away."""

from __future__ import annotations

import contextlib
import csv
import importlib.machinery
import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from blockzoo.core import consent, files, locks, plugins, safe_path, table, text, trusted
from blockzoo.nas.benchmark import release
from tests.core import test_text
from tests.safety.attempts import ATTEMPTS, MEDIA, Attempt, held

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.mark.parametrize("tried", [a for a in ATTEMPTS if a.few], ids=lambda tried: tried.name)
def test_what_is_promised_holds(tried: Attempt, tmp_path: Path) -> None:
    assert [n for n in range(tried.few) if not held(tried, n, tmp_path / str(n))] == []


@pytest.mark.slow
@pytest.mark.parametrize("tried", ATTEMPTS, ids=lambda tried: tried.name)
def test_it_holds_often(tried: Attempt, tmp_path: Path) -> None:
    assert [n for n in range(tried.times) if not held(tried, n, tmp_path / str(n))] == []


def _without_links(path: Path, flags: int) -> int:
    return os.open(path, flags, 0o666)


GUARDS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a record": lambda patch: [  # type: ignore[dict-item]
        patch.setattr(module, "as_stored", contextlib.nullcontext) for module in (table, release)
    ],
    "a study": lambda patch: patch.setattr(consent, "check", lambda origin: None),
    "one byte": lambda patch: patch.setattr(trusted.Project, "digest", lambda self: "the same"),
    "a plugin": lambda patch: patch.setattr(
        plugins._FromSource, "get_code", importlib.machinery.SourceFileLoader.get_code
    ),
    "names that": lambda patch: [  # type: ignore[dict-item]
        patch.setattr(module, "open_own", _without_links) for module in (files, locks)
    ],
}


@pytest.mark.parametrize("guard", GUARDS)
def test_an_attempt_sees_that_its_guard_is_gone(
    guard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tried,) = [tried for tried in ATTEMPTS if tried.name.startswith(guard)]
    GUARDS[guard](monkeypatch)
    assert not all(held(tried, n, tmp_path / str(n)) for n in range(40))


@pytest.mark.parametrize("medium", MEDIA)
def test_names_are_hostile_enough(medium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plain", "cell", "uncell", "markdown", "page", "picture", "file_name"):
        monkeypatch.setattr(text, name, lambda value, **how: value)
    monkeypatch.setattr(test_text.text, "script", json.dumps)
    (tried,) = [tried for tried in ATTEMPTS if tried.name.endswith(medium)]
    try:
        assert not all(held(tried, n, tmp_path / str(n)) for n in range(100))
    except csv.Error as error:  # Python 3.10 writes no zero byte
        assert "need to escape" in str(error)


def test_the_page_has_a_line_for_each() -> None:
    script = runpy.run_path(str(PAGE.parents[1] / "scripts" / "security.py"))
    page = PAGE.read_text()
    for tried in ATTEMPTS:
        assert f"| {tried.name} | {tried.times:,} | held every time |" in page, tried.name
    assert script["HEAD"] in page and page.endswith("|\n")
    assert safe_path.VARIABLE in page
