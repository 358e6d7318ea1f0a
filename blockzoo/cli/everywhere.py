"""What every command takes beside its own options: --config, --quiet, --debug, --max-memory; and the files of options."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core import consent
from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import absolute, check_values, options_in

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import ArgumentCollection

OPTIONS = {
    "--config FILE": "a YAML or TOML file with options of the command, a `name: value` a line; the command line wins over it",
    "-q, --quiet": "print results and errors only: no progress, no remarks",
    "--debug": "where an error came from, line by line",
    "--max-memory SIZE": "what a file that is read may take in memory, as in 8GiB",
    "-h, --help": "this page",
}
"""Each with its sentence, for help pages."""
VALUES = {
    "--config": ("config", "give it once, with one file: --config options.yaml"),
    "--max-memory": ("max_memory", "give it once, with a size: --max-memory 8GiB"),
}
"""Those that take a value: their fields, and what to do."""
SUFFIXES = (".yaml", ".yml", ".toml")
OWN_CONFIG = ("blockwise",)
"""Groups whose commands have an option of this name too: widths, as in `--config "[64,64]"`, which are no file."""


@dataclass(frozen=True)
class Everywhere:
    """What was given of them."""

    config: Path | None = None
    quiet: bool = False
    debug: bool = False
    max_memory: str | None = None


def apart(argv: Sequence[str]) -> tuple[list[str], Everywhere]:
    """The words without these options, and what they say.

    Raises:
        UsageError: one that takes a value stands twice, or without it.

    Examples:
        >>> apart(["train", "X", "--debug", "--config", "a.yaml"])
        (['train', 'X'], Everywhere(config=PosixPath('a.yaml'), quiet=False, debug=True, max_memory=None))
    """
    options: dict[str, Any] = {}
    rest: list[str] = []
    words = list(argv)
    own_config = bool(words) and words[0] in OWN_CONFIG
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word in ("--quiet", "-q"):
            options["quiet"] = True
        elif word == "--debug":
            options["debug"] = True
        elif name in ("--config", "--max-memory"):
            if not equals:
                value = words.pop(0) if words and words[0][:1] != "-" else ""
            if own_config and name == "--config" and not value.endswith(SUFFIXES):
                rest += [name, value] if value else [name]
                continue
            key, remedy = VALUES[name]
            if not value or key in options:
                raise UsageError(f"{name}{' is there twice' if value else ''}: {remedy}")
            options[key] = Path(value) if key == "config" else value
        else:
            rest.append(word)
    return rest, Everywhere(**options)


@dataclass
class OptionsFile:
    """A file of options: for cyclopts, which gives it what it has of the command line, and for `check`.

    Args:
        path: of the file.
        options: what it says.
        filled: the parameters that got their values from it.
    """

    path: Path
    options: dict[str, Any]
    filled: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> OptionsFile:
        """From the file; whether it names code is seen in `check`, when it is known what the user named.

        Raises:
            UsageError: no such file, not YAML or TOML, not a mapping of options.
        """
        if not path.is_file():
            raise UsageError(f"--config {path}: there is no such file")
        return cls(path, options_in(path))

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give what the command line left open.

        Raises:
            UsageError: an option that the command has not, with the nearest that it has; two names of one option; no value.
        """
        from cyclopts import Token

        by_name = {_plain(name): argument for argument in arguments for name in argument.names}
        by_name |= {argument.field_info.name: argument for argument in arguments}
        named: dict[str, str] = {}
        for key, value in self.options.items():
            argument = by_name.get(_plain(key))
            if argument is None:
                near = difflib.get_close_matches(_plain(key), by_name, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise UsageError(f"{self.path}: the command has no option {describe(key)}.{hint}")
            own = argument.field_info.name
            if named.setdefault(own, key) != key:
                raise UsageError(
                    f"{self.path}: {describe(named[own])} and {describe(key)} are one option: leave one of them out"
                )
            if value is None:
                raise UsageError(
                    f"{self.path}: {describe(key)} has no value: give one, or leave the line out"
                )
            if argument.tokens:
                continue
            values = value if isinstance(value, list) else [value]
            if any(isinstance(one, (dict, list)) for one in values):
                raise UsageError(f"{self.path}: {describe(key)}: give one value or a list of values")
            count, many = argument.token_count()
            if len(values) > 1 and not many and len(values) != count:
                raise UsageError(
                    f"{self.path}: {describe(key)} is {describe(value)}: give {max(count, 1)} of them"
                )
            self.filled.add(own)
            for place, one in enumerate(values):
                argument.append(Token(keyword=f"--{key}", value=str(one), source=str(self.path), index=place))

    def check(self) -> None:
        """Hold it to what the user named: a file decides neither what code runs here, nor which Ray cluster is joined.

        Raises:
            UsageError: it names other code, or a cluster.
        """
        check_values(self.options, self.path)
        with consent.text_of(self.path):
            plugins = self.options.get("plugin") or self.options.get("plugins") or ()
            for plugin in [plugins] if isinstance(plugins, str) else plugins:
                consent.check(absolute(str(plugin)))
            if "address" in self.filled:
                consent.check_address(str(self.options["address"]))


def _plain(name: str) -> str:
    """`--base-channels` as a file may write it too: `base_channels`; one letter keeps its case."""
    return name.lstrip("-").replace("-", "_")
