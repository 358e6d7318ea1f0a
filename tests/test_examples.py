"""The examples in docstrings run, and say what comes out."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "blockzoo"
PROMPT = ">>> "


def modules_with_examples() -> list[str]:
    """Names of the modules whose source has a prompt in it."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if PROMPT in path.read_text()]
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_a_module(name: str) -> None:
    module = importlib.import_module(name)
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0, "a prompt, but no example in a docstring"
    assert outcome.failed == 0, "see the captured output"
