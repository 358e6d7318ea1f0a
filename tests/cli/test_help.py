"""Help pages of all commands: examples that can be typed, true defaults, common options first, no word cut."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

from blockzoo.cli import app, main
from blockzoo.cli.app import HERE, build, commands, help_page, normalised
from blockzoo.cli.everywhere import apart
from blockzoo.cli.help import FIRST, HARD, choices_of, default_of, entry
from tests.cli.test_cli import commands_of_the_package

COMMANDS = commands_of_the_package()
PRINT_NO_RESULTS = {
    ("submit",),
    ("nas", "export"),
    ("report",),
    ("serve",),
    ("trust",),
    ("visualize",),
    ("nas", "build"),
    ("nas", "convert"),
    ("nas", "draw"),
    ("nas", "merge"),
    ("store", "export"),
    ("store", "merge"),
    ("store", "repair"),
    ("sweep", "cancel"),
}
"""Commands that write files and say so, or note something."""


def lines_of(words: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The page, each line with its style."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = help_page(list(words))
    assert lines is not None
    return list(lines)


def section(lines: list[tuple[str, str]], title: str) -> list[str]:
    """The lines below a title, up to the next free one."""
    texts = [line for line, _ in lines]
    if title not in texts:
        return []
    after = texts[texts.index(title) + 1 :]
    return after[: after.index("")] if "" in after else after


def words_in(lines: list[tuple[str, str]]) -> list[str]:
    return sorted(word for line, _ in lines for word in line.split() if word != chr(92))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_page(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, wide = (lines_of(words, width, monkeypatch) for width in (80, 200))
    assert all(len(line) <= 80 for line, _ in narrow)
    assert words_in(narrow) == words_in(wide), "no word is cut"
    text = "\n".join(line for line, _ in narrow)
    for option in ("--config FILE", "--quiet", "--debug", "--max-memory", "--help"):
        assert option in text
    assert "--empty-" not in text and "default: None" not in text and "()" not in text
    assert ("--format CHOICE" in text) == (words not in PRINT_NO_RESULTS)
    titles = [line for line, style in narrow if style == "bold"]
    assert next(title for title in titles if title != "Arguments") in (FIRST, "Options", "For every command")
    check_options(words, " ".join(text.split()))
    examples = section(wide, "Examples")
    assert len(examples) >= 2
    for example in examples:
        called, *rest = shlex.split(example)
        argv, _ = apart(normalised(rest))
        assert called == "blockzoo" and tuple(rest[: len(words)]) == words
        build().parse_args(argv, exit_on_error=False, print_error=False)


def check_options(words: tuple[str, ...], text: str) -> None:
    """Each has its names, its true default and its choices on the page."""
    command = build()
    for word in words:
        command = command[word]
    for argument in command.assemble_argument_collection(parse_docstring=False):
        names, sentence = entry(argument)
        sentence = sentence.replace(HARD, " ")
        assert f"{names} {sentence}" in text
        assert sentence.count("[default:") <= 1 and "(default" not in sentence
        if default := default_of(argument):
            assert f"[default: {default}]" in sentence
        assert all(choice in names + sentence for choice in choices_of(argument))
        if argument.field_info.name == "output":
            assert {"--output", "-o"} <= set(argument.names)


@pytest.mark.parametrize(
    "words", [(), *dict.fromkeys(words[:1] for words in COMMANDS if len(words) > 1)], ids=" ".join
)
def test_an_overview_names_every_command_and_has_examples(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words == ("sweep",):
        return  # alone it is `sweep run`
    lines = lines_of(words, 80, monkeypatch)
    assert all(len(line) <= 80 for line, _ in lines)
    folder = HERE.joinpath(*words)
    for name in commands(folder):
        assert any(line.startswith(f"  {name.replace('_', '-')} ") for line, _ in lines), name
    assert len(section(lines, "Examples")) >= 2


def test_a_wrong_option_leads_to_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nas", "search", "--budgte", "3"]) == 2
    error = capsys.readouterr().err
    assert "--budget" in error and "See: blockzoo nas search --help" in error


def test_the_overview_loads_neither_torch_nor_the_parser() -> None:
    source = Path(app.__file__).read_text()
    top = [node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in top if "cyclopts" in ast.unparse(node)]
