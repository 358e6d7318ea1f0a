"""Every check of the registry says what it is worth, is on the page, and has a test that sees it fail."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

from blockzoo.core.contracts import CHECKS

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "trust.md"
SCRIPT = runpy.run_path(str(TESTS.parent / "scripts" / "trust.py"))


def mutations() -> set[str]:
    """The names in `@pytest.mark.mutation("name", ...)` over the whole test tree."""
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.mutation":
                names.update(ast.literal_eval(argument) for argument in node.args)
    return names


def test_every_check_can_fail() -> None:
    assert set(CHECKS) == mutations()


def test_every_check_says_what_it_is_worth() -> None:
    assert [name for name in CHECKS if not all(SCRIPT["told"](name))] == []


def test_the_page_lists_every_check() -> None:
    assert f"\n\n{SCRIPT['table']()}\n" in PAGE.read_text()


def test_the_page_ends_with_what_was_tried() -> None:
    assert PAGE.read_text().endswith("\n\n" + SCRIPT["tried"]())


def test_faults_among_what_was_tried_are_said() -> None:
    said = SCRIPT["_outcomes"]
    row = {"network": "n", "outcome": "agrees", "difference": "1e-9"}
    wrong = {**row, "network": "m", "outcome": "differs", "difference": ""}
    assert said([row, row]) == "2 agree, the worst to 1.0e-09"
    assert said([row, wrong]) == "1 agree, the worst to 1.0e-09; **1 differs** (m)"
