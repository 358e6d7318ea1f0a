"""Builds the command line from the files of this folder and turns errors into messages and exit codes."""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo import __version__
from blockzoo.cli import conditions, screen
from blockzoo.cli.everywhere import Everywhere, OptionsFile, apart
from blockzoo.cli.help import Line, overview, page, split_doc
from blockzoo.cli.screen import Screen
from blockzoo.cli.watch import AboveTheBar, watching
from blockzoo.core import began, consent
from blockzoo.core.bounds import allowing
from blockzoo.core.discovery import first_sentence
from blockzoo.core.documents import describe, first_line
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.plugins import code_asked_for, load_plugins
from blockzoo.core.text import PlainFormatter, plain

if TYPE_CHECKING:
    from cyclopts import App

ONE_COMMAND_BEFORE = ("sweep",)
"""Groups that are also meant alone, and with --help, as their command `run`."""
NOT_COMMANDS = (
    "app",
    "conditions",
    "everywhere",
    "expanded",
    "help",
    "options",
    "progress",
    "screen",
    "watch",
)
REMARKS = ("notes", "experiment_name")
"""What is said of a run: code in it is not asked for."""
READERS = {"nas": [[name] for name in ("info", "validate", "convert", "diff", "merge", "download")]}
"""Commands that only read files: for them a project's plugins are code that nobody asked to run. `--plugin` still asks."""


HERE = Path(__file__).parent
GROUPS = tuple(path.parent.name for path in HERE.glob("*/__init__.py"))
"""Folders of commands."""
EXAMPLES = (
    "blockzoo profile ResNetBasicBlock/mid",
    "blockzoo train ResNetBasicBlock/mid --dataset digits --epochs 2",
)
"""What a newcomer may type first."""


def commands(folder: Path = HERE) -> dict[str, str]:
    """Each command and its sentence: the files of a folder and their docstrings; a folder within is a group of commands."""
    sentences = {}
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/__init__.py")]):
        name = path.parent.name if path.name == "__init__.py" and path.parent != folder else path.stem
        if name not in NOT_COMMANDS and not name.startswith("_"):
            sentence = first_sentence(_docstring(path))
            sentences[name] = sentence.partition(": ")[2] or sentence
    return sentences


def _docstring(path: Path) -> str:
    """Of a module, whose other text is not parsed."""
    text = '"""'.join(path.read_text(encoding="utf-8").split('"""', 2)[:2]) + '"""'
    return ast.get_docstring(ast.parse(text)) or ""


def build() -> App:
    """The whole command line; a command's module is imported when the command is used."""
    app = _app(
        "blockzoo",
        "The laboratory for convolutional blocks",
        version=__version__,
        version_flags=["--version"],
    )
    for name, sentence in commands().items():
        if (HERE / name).is_dir():
            group = _app(name, sentence)
            for own, what in commands(HERE / name).items():
                group.command(f"blockzoo.cli.{name}.{own}:{own}", name=_typed(own), help=_capital(what))
            app.command(group, name=name)
        else:
            app.command(f"blockzoo.cli.{name}:{name}", name=_typed(name), help=_capital(sentence))
    return app


def _app(name: str, sentence: str, **options: Any) -> App:
    from cyclopts import App

    return App(name=name, help=_capital(sentence), help_format="plaintext", **options)


def _typed(name: str) -> str:
    return name.replace("_", "-")


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def normalised(argv: list[str]) -> list[str]:
    """Options with underscores are options with dashes, and a group of commands alone means its command `run`.

    `--base_channels` is `--base-channels`; `blockwise --rounds 10` is `blockwise run --rounds 10`.
    """
    if argv[:1] and argv[0] in ONE_COMMAND_BEFORE and argv[1:] in ([], ["--help"], ["-h"]):
        return [argv[0], "run", *argv[1:]]
    if len(argv) > 1 and argv[1].startswith("-") and argv[1] not in ("--help", "-h"):
        argv = [argv[0], "run", *argv[1:]] if (HERE / argv[0] / "run.py").is_file() else argv
    return [re.sub(r"^--[A-Za-z0-9_-]+", lambda m: m[0].replace("_", "-"), word) for word in argv]


def help_page(argv: list[str]) -> Iterator[Line] | None:
    """The page that is meant by these words before `--help`; None: there is no such command."""
    width = screen.out.width
    words = [word for word in argv[:2] if not word.startswith("-")]
    if not words:
        own = {_typed(command): sentence for command, sentence in commands().items()}
        return overview("blockzoo", "The laboratory for convolutional blocks.", own, EXAMPLES, width)
    name, *rest = words
    if name not in map(_typed, commands()):
        return None
    if not (HERE / name).is_dir():
        return _command_page((name,), width)
    own = {_typed(command): sentence for command, sentence in commands(HERE / name).items()}
    if rest and rest[0] in own:
        return _command_page((name, rest[0]), width)
    if rest:
        return None
    _, examples = split_doc(_docstring(HERE / name / "__init__.py"))
    return overview(f"blockzoo {name}", _capital(commands()[name]), own, examples, width)


def _command_page(words: tuple[str, ...], width: int) -> Iterator[Line]:
    app: Any = build()
    for word in words:
        app = app[word]
    arguments = app.assemble_argument_collection(parse_docstring=False)
    return page(" ".join(("blockzoo", *words)), app.default_command, arguments, width)


def complete(shell: list[str]) -> int:
    """Install the completion of commands and options for a shell: the one that is named, else the one that runs."""
    from cyclopts.completion.detect import ShellDetectionError

    shells = ("bash", "zsh", "fish")
    if shell and shell[0] not in shells:
        raise UsageError(f"--install-completion {shell[0]}: give {', '.join(shells)}")
    try:
        place = build().install_completion(shell=shell[0] if shell else None)  # type: ignore[arg-type]
    except ShellDetectionError:
        raise UsageError(f"--install-completion: name the shell: {', '.join(shells)}") from None
    screen.say(f"written   {place}\nIt holds in shells that are opened from now on.")
    return 0


def run(argv: list[str], age: float = 0.0) -> int:
    """Run one command: 0 done, 2 a bad request, 1 another failure, 130 interrupted.

    Args:
        argv: its words.
        age: seconds since it was given, from which its budgets of time count.
    """
    everywhere = Everywhere()
    errors = Screen(stderr=True, soft_wrap=True)
    handler = AboveTheBar(sys.stderr)
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        argv, everywhere = apart(normalised(argv))
        if (not argv or "--help" in argv or "-h" in argv) and (lines := help_page(argv)) is not None:
            screen.styled(lines)
            return 0
        if argv[0] == "--install-completion":
            return complete(argv[1:])
        screen.out.quiet = everywhere.quiet
        with began.command(age), watching(_named(argv), quiet=everywhere.quiet):
            file = None if everywhere.config is None else OptionsFile.read(everywhere.config)
            return _run(argv, file, everywhere.max_memory)
    except Exception as error:
        if everywhere.debug and not isinstance(error, BrokenPipeError):
            raise
        return _told(error, argv, errors)
    except KeyboardInterrupt:
        errors.print("interrupted; what was finished is stored, and the same command goes on from there")
        return 130
    finally:
        screen.words_apart("table")
        screen.out.quiet = False


def _named(argv: list[str]) -> str:
    """The command, as it is called."""
    words = argv[: 2 if argv and argv[0] in GROUPS else 1]
    return plain(" ".join(["blockzoo", *words]), lines=False)


def _run(argv: list[str], file: OptionsFile | None, memory: str | None) -> int:
    app = build()
    app.config = [file] if file is not None else []
    command, bound, _ = app.parse_args(
        argv, exit_on_error=False, print_error=False, error_console=Screen(stderr=True)
    )
    filled = set() if file is None else file.filled
    options = {
        name: value for name, value in bound.arguments.items() if name not in REMARKS and name not in filled
    }
    _check_numbers(bound.arguments)
    conditions.check(command, bound.arguments)
    screen.words_apart(str(bound.arguments.get("format", "table")))
    with allowing(memory), consent.only(code_asked_for(options)):
        if "plugins" in inspect.signature(command).parameters:  # not so --version
            load_plugins(options.get("plugins") or (), ambient=argv[1:2] not in READERS.get(argv[0], []))
        if file is not None:
            file.check()
            if "plugins" in filled:  # which the user named too
                load_plugins(bound.arguments["plugins"], ambient=False)
        result = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else 0


def _told(error: Exception, argv: list[str], errors: Screen) -> int:
    """Say what went wrong, on one screen; the exit code."""
    if isinstance(error, BlockzooError):
        errors.print(f"blockzoo: {error}")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        errors.print(f"blockzoo: {place}{error.strerror or error}")
        return 1
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        errors.print(f"blockzoo: what was asked for does not fit in memory: {first_line(error)}")
        return 1
    from cyclopts.exceptions import CycloptsError

    if isinstance(error, CycloptsError):
        errors.print(str(error))
        words = (
            argv[:2]
            if help_page(argv[:2]) is not None
            else argv[:1]
            if help_page(argv[:1]) is not None
            else []
        )
        errors.print("See: " + " ".join(["blockzoo", *(word for word in words if word[:1] != "-"), "--help"]))
        return 2
    errors.print(f"blockzoo: {type(error).__name__}: {error}\n(--debug shows where)")
    return 1


def _check_numbers(said: dict[str, Any]) -> None:
    """Whole numbers are ones that the libraries below have.

    Raises:
        UsageError: one has more than 64 bits.
    """
    for name, value in said.items():
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(part, int) and not -(2**63) <= part < 2**63:
                raise UsageError(f"--{name.replace('_', '-')} {describe(part)}: that is out of range")
