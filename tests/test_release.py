"""The version is one number, and the files that forges read are well formed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import blockzoo
from tests.documented import ROOT

PARTS = {"name", "description", "body"}


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_version_is_written_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", blockzoo.__version__)
    assert _read(ROOT / "CITATION.cff")["version"] == blockzoo.__version__
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version", "readme"]' in project
    assert 'version = { attr = "blockzoo.__version__" }' in project
    assert not re.search(r"^version = \"", project, re.MULTILINE)


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None and first[1] == blockzoo.__version__


def test_the_citation_has_what_the_format_asks_for() -> None:
    citation = _read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    authors = re.search(
        r"^authors = \[\{ name = \"(.*)\" \}\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert authors is not None and citation["authors"] == [{"name": authors[1]}]


@pytest.mark.parametrize("name", ["missing.yml", "wrong.yml"])
def test_issue_forms_are_forms(name: str) -> None:
    form = _read(ROOT / ".github" / "ISSUE_TEMPLATE" / name)
    assert set(form) >= PARTS
    assert {part["type"] for part in form["body"]} <= {"markdown", "textarea", "input", "dropdown"}
    assert all("label" in part["attributes"] for part in form["body"] if part["type"] != "markdown")
