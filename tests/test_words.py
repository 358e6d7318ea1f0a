"""The field's own words, as the list in CONTRIBUTING.md has them, in code, messages, help and docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GONE = {
    "learning rate": r"step sizes?\b",
    "dtype": r"number formats?\b",
    "ReLU": r"rectifiers?\b",
    "top-5 accuracy": r"named rightly",
    "teacher and student": r"\bpupils?\b",
    "Pareto-optimal": r"that no other beats",
    "UsageError": r"RequestError",
    "decimals with their zero": r"(?<![\w.\])*/:-])\.\d+ (?!\w*/)",
}
"""What we write, and what stood there before."""
TEXTS = [
    path
    for folder, pattern in (("blockzoo", "*.py"), ("docs", "*.md"), ("compat", "*.md"), (".", "README.md"))
    for path in sorted((ROOT / folder).rglob(pattern) if folder != "." else [ROOT / pattern])
]


@pytest.mark.parametrize("word", GONE)
def test_one_thing_has_one_word(word: str) -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(GONE[word], line)
    ]
    assert not lines, f"we write {word}:\n" + "\n".join(lines)


def test_the_list_for_contributors_has_these_words() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"| {word} |" in table for word in GONE if not word.startswith(("Usage", "decimals")))
