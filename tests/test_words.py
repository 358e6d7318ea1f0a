"""The field's own words, as the list in CONTRIBUTING.md has them, in code, messages, help and docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from doctest import DocTestParser
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
    "float32 network": r"networks? of floats",
    "is listed twice": r"stands there twice",
    "what it is": r"\b(?:a|an) [a-z ]+ that is none\b",
    "decimals with their zero": r"(?<![\w.\])*/:-])\.\d+ (?!\w*/)",
}
"""What we write, and what stood there before."""
TEXTS = [
    path
    for folder, pattern in (("blockzoo", "*.py"), ("docs", "*.md"), ("compat", "*.md"), (".", "README.md"))
    for path in sorted((ROOT / folder).rglob(pattern) if folder != "." else [ROOT / pattern])
]
EMPTY = {"found"}
"""Names of variables, parameters, attributes, functions and classes that say nothing of what they hold."""
LOCAL = {"made", "told", "said", "asked"}
"""The same of local variables of the package."""
PROGRAMS = [
    path
    for folder in ("blockzoo", "compat", "scripts", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def code_in(path: Path) -> Iterator[str]:
    """A program, and the examples in its docstrings; the programs on a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        return
    yield text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield from (e.source for e in DocTestParser().get_examples(ast.get_docstring(node) or ""))


def empty_names(code: str) -> list[str]:
    """The names in a program that are of `EMPTY`, leading underscores and capitals aside, with the lines they are on."""
    if not any(word in code.lower() for word in EMPTY):
        return []  # most have none: they need not be parsed
    return [
        f"line {node.lineno}: {name}"
        for node in ast.walk(ast.parse(code))
        for field in ("id", "arg", "attr", "name", "asname")
        if isinstance(name := getattr(node, field, None), str) and name.strip("_").lower() in EMPTY
    ]


@pytest.mark.parametrize("word", GONE)
def test_one_thing_has_one_word(word: str) -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(GONE[word], line, re.IGNORECASE)
    ]
    assert not lines, f"we write {word}:\n" + "\n".join(lines)


def test_the_list_for_contributors_has_these_words() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"| {word} |" in table for word in GONE if not word.startswith(("Usage", "decimals", "what")))


def test_names_say_what_they_hold() -> None:
    pages = [path for path in TEXTS if path.suffix == ".md"]
    lines = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (*PROGRAMS, *pages)
        for code in code_in(path)
        for name in empty_names(code)
    ]
    assert not lines, "name what it holds (record, rows, plan, error, ...):\n" + "\n".join(lines)


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "def rows(found): ...",
        "def found(): ...",
        "class Found: ...",
        "self._found = 1",
        "rows = [row for row, found in pairs]",
        "f'{found.status}'",
        "import rows as found",
        "search(found=1)",
        "match row:\n    case [found, _]: ...",
        "try: ...\nexcept ValueError as found: ...",
        "class A:\n    found: int",
    ],
)
def test_an_empty_name_is_seen(code: str) -> None:
    assert empty_names(code) and not empty_names(code.replace("found", "record").replace("Found", "Record"))


def test_a_word_in_a_sentence_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        '"""What was found.\n\n>>> found = 1\n"""\n\nrows = "found"  # where found\n'
    )
    (tmp_path / "a.md").write_text("What was found.\n\n```python\nfound = 1\n```\n")
    assert [[empty_names(code) for code in code_in(tmp_path / name)] for name in ("a.py", "a.md")] == [
        [[], ["line 1: found"]],
        [["line 1: found"]],
    ]


def empty_locals(code: str) -> list[str]:
    """The local variables of functions that are of `LOCAL`, with the lines they are set on."""
    return [
        f"line {node.lineno}: {node.id}"
        for function in ast.walk(ast.parse(code))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in LOCAL
    ]


def test_local_variables_say_what_they_hold() -> None:
    assert empty_locals("def f():\n    made = [told for told in ()]\n") == ["line 2: made", "line 2: told"]
    lines = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "blockzoo").rglob("*.py"))
        for name in empty_locals(path.read_text(encoding="utf-8"))
    ]
    assert not lines, "name what it holds (table, message, settings, ...):\n" + "\n".join(lines)
