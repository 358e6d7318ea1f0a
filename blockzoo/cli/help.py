"""Help pages: what a command does, its options by what they are about and the common ones first, and examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from blockzoo.cli.conditions import conditions
from blockzoo.cli.everywhere import OPTIONS
from blockzoo.core.typeset import cells_of, wrapped

if TYPE_CHECKING:
    from cyclopts.argument import Argument

WIDEST = 110
"""Characters of a line: longer ones are hard to read."""
NAMES = 26
"""Characters for names, where they fit."""
COMMON = (
    "blocks", "position", "positions", "model", "config", "algorithm", "benchmark", "dataset", "epochs", "rounds", "image_size",
    "budget", "mode", "lr", "batch_size", "batch_sizes", "seeds", "seed", "device", "seconds", "resume", "dry_run", "format",
    "output",
)  # fmt: skip
"""Options that most people look for, in their order."""
SHORT, HARD = 28, "\u00a0"
"""A note of so few characters is not broken: its spaces are hard ones until it is."""
FIRST, REST = "Common options", "Other options"
STAGES = {
    "Look at blocks": ("blocks", "datasets", "profile"),
    "Measure them": ("card", "benchmark", "train", "sweep"),
    "Compare": ("results", "compare", "visualize"),
    "Other questions about networks": ("nas", "blockwise", "tile"),
}
"""Commands by what one does with them; those that are not here stand last."""
Line = tuple[str, str]
"""A text and its style."""


def overview(
    name: str, sentence: str, commands: Mapping[str, str], examples: Sequence[str], width: int
) -> Iterator[Line]:
    """The page of a group of commands.

    Args:
        name: of the group, as it is called.
        sentence: what it is.
        commands: each with its sentence.
        examples: lines to type.
        width: of the terminal.
    """
    width = min(width, WIDEST)
    yield from _text(f"Usage: {name} COMMAND", width)
    yield "", ""
    yield from _text(sentence, width)
    stages = STAGES if name == "blockzoo" else {"Commands": tuple(commands)}
    sorted_in = {command for members in stages.values() for command in members}
    rest = tuple(command for command in commands if command not in sorted_in)
    for title, members in (*stages.items(), ("More", rest)):
        there = [(command, commands[command]) for command in members if command in commands]
        yield from _panel(title, there, width)
    if name == "blockzoo":
        own = [
            ("--version", "the version"),
            ("--install-completion", "complete commands and options in this shell with Tab"),
        ]
        yield from _panel(
            "Options", [*own, ("-h, --help", "this page, or that of a command: blockzoo train --help")], width
        )
    yield from _examples(examples, width)


def page(
    name: str, command: Callable[..., object], arguments: Iterable[Argument], width: int
) -> Iterator[Line]:
    """The page of a command.

    Args:
        name: as it is called, with `blockzoo` before it.
        command: the function, whose docstring says what it does and has examples.
        arguments: cyclopts's collection of its arguments.
        width: of the terminal.
    """
    width = min(width, WIDEST)
    description, examples = split_doc(inspect.getdoc(command) or "")
    shown = [argument for argument in arguments if argument.parameter.show is not False]
    positional = [argument for argument in shown if argument.index is not None and _is_positional(argument)]
    words = [_placeholder(argument) for argument in positional]
    yield from _text(" ".join(["Usage:", name, *words, "[OPTIONS]"]), width)
    yield "", ""
    yield from _text(description, width)
    yield from _panel("Arguments", list(map(entry, positional)), width)
    panels: dict[str, list[Argument]] = {FIRST: [], REST: []}
    for argument in shown:
        if argument not in positional:
            own = argument.field_info.name
            title = FIRST if own in COMMON else _title(argument)
            panels.setdefault(title, []).append(argument)
    panels[FIRST].sort(key=lambda argument: COMMON.index(argument.field_info.name))
    if (
        len(panels[FIRST]) + len(panels[REST]) == sum(map(len, panels.values())) <= 8
    ):  # few: one list is enough
        panels = {"Options": [*panels[FIRST], *panels[REST]]}
    others = panels.pop(REST, [])
    for title, members in (*panels.items(), (REST, others)):
        yield from _panel(title, list(map(entry, members)), width)
    yield from _panel("For every command", list(OPTIONS.items()), width)
    yield from _examples(examples, width)


def entry(argument: Argument) -> tuple[str, str]:
    """The names of an argument, and its sentence with choices and default."""
    return (_upper(argument) if _is_positional(argument) else _names(argument)), _sentence(argument)


def split_doc(doc: str) -> tuple[str, list[str]]:
    """What a docstring says, and the lines of its examples."""
    description, _, examples = doc.partition("\nExamples:")
    lines = [line.strip() for line in examples.splitlines() if line.strip().startswith("blockzoo ")]
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", description.strip())]
    return "\n\n".join(paragraphs), lines


def default_of(argument: Argument) -> str:
    """What holds where an option is not given, as one would type it; "": nothing that can be typed."""
    default = argument.field_info.default
    if (
        default is inspect.Parameter.empty
        or default is None
        or default == ""
        or default == ()
        or default is False
    ):
        return ""
    if default is True:
        return "yes"
    if isinstance(default, (tuple, list)):
        return " ".join(map(_typed, default))
    return _typed(default)


def choices_of(argument: Argument) -> list[str]:
    """The values that an option can have, where there are few."""
    return [str(value) for value in _literals(argument.hint)]


def _literals(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [value for part in get_args(hint) for value in _literals(part)]


def _typed(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_positional(argument: Argument) -> bool:
    kinds = inspect.Parameter
    return argument.field_info.kind in (
        kinds.POSITIONAL_ONLY,
        kinds.POSITIONAL_OR_KEYWORD,
        kinds.VAR_POSITIONAL,
    )


def _upper(argument: Argument) -> str:
    bare = [name for name in argument.names if not name.startswith("-")]
    return (bare[0] if bare else argument.field_info.name).upper().replace("_", "-").strip("-")


def _placeholder(argument: Argument) -> str:
    many = "..." if argument.field_info.kind is inspect.Parameter.VAR_POSITIONAL else ""
    return f"{_upper(argument)}{many}" if argument.required or many else f"[{_upper(argument)}]"


def _title(argument: Argument) -> str:
    groups: Any = argument.parameter.group or ()
    return next((group.name for group in groups if group.name not in ("Parameters", "Arguments")), REST)


def _names(argument: Argument) -> str:
    long = [name for name in argument.names if name.startswith("--") and name not in argument.negatives]
    short = [name for name in argument.names if name.startswith("-") and not name.startswith("--")]
    off = list(argument.negatives)
    return ", ".join([*short[:1], long[0], *off[:1]]) + _metavar(argument)


def _metavar(argument: Argument) -> str:
    kinds = _kinds(argument.hint)
    if bool in kinds:
        return ""
    if choices := choices_of(argument):
        text = "|".join(choices)
        return f" {text}" if len(text) <= 20 else " CHOICE"
    names = {Path: "PATH", str: "TEXT", int: "N", float: "X"}
    word = next((names[kind] for kind in names if kind in kinds), "VALUE")
    fixed = [part for part in (argument.hint, *get_args(argument.hint)) if get_origin(part) is tuple]
    if fixed and Ellipsis not in get_args(fixed[0]):
        return f" {' '.join([word] * len(get_args(fixed[0])))}"
    several = any(get_origin(part) in (tuple, list) for part in (argument.hint, *get_args(argument.hint)))
    return f" {word}{' ...' if several and argument.parameter.consume_multiple else ''}"


def _kinds(hint: Any) -> set[Any]:
    inner = [part for part in get_args(hint) if get_origin(hint) in (Union, UnionType, tuple, list)]
    return {hint} if not inner else {kind for part in inner for kind in _kinds(part)}


def _sentence(argument: Argument) -> str:
    text, default, choices = str(argument.parameter.help or ""), default_of(argument), choices_of(argument)
    if said_first := ", ".join(one.words for one in conditions(argument.field_info.annotation) if one.words):
        text = f"{said_first}: {text}"
    notes = []
    match = re.search(r" ?\(default:? ([^()]+)\)", text)
    if match:
        text = text.replace(match[0], "")
    if default or match:
        notes.append(f"[default: {default or match[1]}]")  # type: ignore[index]
    if choices and (len("|".join(choices)) > 20 or _is_positional(argument)):
        notes.insert(0, f"[one of {', '.join(choices)}]")
    if argument.required:
        notes.append("[required]")
    long = [name for name in argument.names if name.startswith("--") and name not in argument.negatives]
    short = [name for name in argument.names if name.startswith("-") and not name.startswith("--")]
    plain = [
        f"--{argument.field_info.name.replace('_', '-')}"
    ]  # an argument by its place that is an option too says by which names
    others = [*long, *short] if _is_positional(argument) else [*long[1:], *short[1:]]
    if others and others != plain:
        text += f" (also {', '.join(others)})"
    return " ".join([text, *map(_unbroken, notes)]).strip()


def _unbroken(note: str) -> str:
    """A short note stays on one line."""
    return note.replace(" ", HARD) if len(note) <= SHORT else note


def _text(text: str, width: int) -> Iterator[Line]:
    yield from ((line, "") for line in wrapped(text, width))


def _panel(title: str, entries: Sequence[tuple[str, str]], width: int) -> Iterator[Line]:
    if not entries:
        return
    yield "", ""
    yield title, "bold"
    longest = max(cells_of(name) for name, _ in entries)
    left = min(longest, NAMES) + 4
    for name, sentence in entries:
        lines = [line.replace(HARD, " ") for line in wrapped(sentence, width - left)] or [""]
        if cells_of(name) > left - 4:
            yield from ((f"  {line}", "") for line in wrapped(name, width - 2))
        else:
            yield f"  {name}{' ' * (left - 2 - cells_of(name))}{lines.pop(0)}".rstrip(), ""
        yield from ((" " * left + line, "") for line in lines)


def _examples(examples: Sequence[str], width: int) -> Iterator[Line]:
    if not examples:
        return
    yield "", ""
    yield "Examples", "bold"
    for example in examples:
        first, *more = wrapped(example, width - 8)
        for place, line in enumerate((first, *more)):
            yield f"  {'    ' * (place > 0)}{line}{' ' + chr(92) if place < len(more) else ''}", ""
