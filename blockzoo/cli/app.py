"""Builds the command line from the files of this folder and turns errors into messages and exit codes."""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from blockzoo import __version__
from blockzoo.cli.screen import Screen
from blockzoo.core import consent
from blockzoo.core.bounds import allowing
from blockzoo.core.discovery import first_sentence
from blockzoo.core.documents import describe, first_line
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.plugins import code_asked_for, load_plugins
from blockzoo.core.text import PlainFormatter

ONE_COMMAND_BEFORE = ("sweep",)
"""Groups that are also meant alone, and with --help, as their command `run`."""
NOT_COMMANDS = ("app", "expanded", "options", "progress", "screen")
REMARKS = ("notes", "experiment_name")
"""What is said of a run: code in it is not asked for."""
READERS = {"nas": [[name] for name in ("info", "validate", "convert", "diff", "merge", "download")]}
"""Commands that only read files: for them a project's plugins are code that nobody asked to run. `--plugin` still asks."""


def commands(folder: Path = Path(__file__).parent) -> dict[str, str]:
    """Each command and its sentence: the files of a folder and their docstrings; a folder within is a group of commands."""
    sentences = {}
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/__init__.py")]):
        name = path.parent.name if path.name == "__init__.py" and path.parent != folder else path.stem
        if name not in NOT_COMMANDS and not name.startswith("_"):
            docstring = (
                '"""'.join(path.read_text(encoding="utf-8").split('"""', 2)[:2]) + '"""'
            )  # no more is parsed
            sentence = first_sentence(ast.get_docstring(ast.parse(docstring)))
            sentences[name] = sentence.partition(": ")[2] or sentence
    return sentences


def build() -> App:
    """The whole command line; a command's module is imported when the command is used."""
    app = _app(
        "blockzoo",
        "The laboratory for convolutional blocks.",
        version=__version__,
        version_flags=["--version"],
    )
    here = Path(__file__).parent
    for name, sentence in commands().items():
        if (here / name).is_dir():
            group = _app(name, sentence)
            for own, what in commands(here / name).items():
                group.command(
                    f"blockzoo.cli.{name}.{own}:{own}", name=own.replace("_", "-"), help=_capital(what)
                )
            app.command(group, name=name)
        else:
            app.command(f"blockzoo.cli.{name}:{name}", name=name, help=_capital(sentence))
    return app


def _app(name: str, sentence: str, **options: Any) -> App:
    return App(name=name, help=_capital(sentence), help_format="plaintext", **options)


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def normalised(argv: list[str]) -> list[str]:
    """Options with underscores are options with dashes, and a group of commands alone means its command `run`.

    `--base_channels` is `--base-channels`; `blockwise --rounds 10` is `blockwise run --rounds 10`.
    """
    here = Path(__file__).parent
    if argv[:1] and argv[0] in ONE_COMMAND_BEFORE and argv[1:] in ([], ["--help"], ["-h"]):
        return [argv[0], "run", *argv[1:]]
    if len(argv) > 1 and argv[1].startswith("-") and argv[1] not in ("--help", "-h"):
        argv = [argv[0], "run", *argv[1:]] if (here / argv[0] / "run.py").is_file() else argv
    return [re.sub(r"^--[A-Za-z0-9_-]+", lambda m: m[0].replace("_", "-"), word) for word in argv]


def without_max_memory(argv: list[str]) -> tuple[list[str], str | None]:
    """The words without `--max-memory SIZE`, which every command takes, and SIZE: what a file may take, whatever its own size."""
    for place, word in enumerate(argv):
        name, equals, size = word.partition("=")
        if name == "--max-memory":
            after = place + (1 if equals else 2)
            return [*argv[:place], *argv[after:]], size if equals else (argv[place + 1 : after] or [""])[0]
    return argv, None


def run(argv: list[str]) -> int:
    """Run one command: 0 done, 2 a bad request, 1 another failure, 130 interrupted."""
    debug = "--debug" in argv
    argv, memory = without_max_memory(normalised([word for word in argv if word != "--debug"]))
    errors = Screen(stderr=True, soft_wrap=True)
    told = logging.StreamHandler(sys.stderr)
    told.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[told])
    try:
        command, bound, _ = build().parse_args(
            argv, exit_on_error=False, print_error=False, error_console=errors
        )
        said = {name: value for name, value in bound.arguments.items() if name not in REMARKS}
        _check_numbers(said)
        with allowing(memory), consent.only(code_asked_for(said)):
            if "plugins" in inspect.signature(command).parameters:  # not so --help and --version
                load_plugins(
                    bound.arguments.get("plugins") or (), ambient=argv[1:2] not in READERS.get(argv[0], [])
                )
            result = command(*bound.args, **bound.kwargs)
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        if debug:
            raise
        errors.print(str(error), markup=False)
        errors.print(
            "See: blockzoo "
            + " ".join([*argv[:1], "--help"] if argv[:1] and argv[0] in commands() else ["--help"])
        )
        return 2
    except BlockzooError as error:
        if debug:
            raise
        errors.print(f"blockzoo: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("interrupted; what was finished is stored, and the same command goes on from there")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        place = "" if error.filename is None else f"{error.filename}: "
        errors.print(f"blockzoo: {place}{error.strerror or error}", markup=False)
        return 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            errors.print(
                f"blockzoo: what was asked for does not fit in memory: {first_line(error)}", markup=False
            )
            return 1
        errors.print(f"blockzoo: {type(error).__name__}: {error}\n(--debug shows where)", markup=False)
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
