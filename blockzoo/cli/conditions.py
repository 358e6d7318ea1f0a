"""Options that have an effect with another one only, or none beside it: said once, beside the type of the option."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from blockzoo.core.errors import UsageError


@dataclass(frozen=True)
class With:
    """An option that has an effect only where another is given: `With("--by")`; or has a value: `With("--dtype int8")`."""

    other: str

    @property
    def words(self) -> str:
        """As the help of the option begins."""
        return f"with {self.other}"

    def fault(self, option: str, given: Given) -> str | None:
        """What is wrong with the command line, that option being on it."""
        if given.has(self.other):
            return None
        return f"{option} has an effect with {self.other} alone: give {self.other} too, or leave {option} out"


@dataclass(frozen=True, init=False)
class Without:
    """An option that has no effect beside others: `Without("--results")`; an argument by its place is in capitals."""

    others: tuple[str, ...]

    def __init__(self, *others: str) -> None:
        object.__setattr__(self, "others", others)

    @property
    def words(self) -> str:
        """As the help of the option begins."""
        return f"without {' and '.join(self.others)}"

    def fault(self, option: str, given: Given) -> str | None:
        """As `With`."""
        beside = [other for other in self.others if given.has(other)]
        return (
            f"{option} has no effect beside {' and '.join(beside)}: leave one of them out" if beside else None
        )


@dataclass(frozen=True, init=False)
class Alone:
    """An option beside which nothing has an effect but those: `Alone("--run")`."""

    others: tuple[str, ...]
    words = ""

    def __init__(self, *others: str) -> None:
        object.__setattr__(self, "others", others)

    def fault(self, option: str, given: Given) -> str | None:
        """As `With`."""
        unused = [one for one in given.options() if one not in (option, *self.others)]
        return (
            f"{', '.join(unused)}: without effect beside {option}; leave out one or the other"
            if unused
            else None
        )


Condition = With | Without | Alone


class Given:
    """What stands on a command line, by the spelling of each option.

    Args:
        command: the function that it calls.
        said: the arguments that were given, by the names of its parameters.
    """

    def __init__(self, command: Callable[..., object], said: Mapping[str, object]) -> None:
        self._parameters = inspect.signature(command, eval_str=True).parameters
        self._said = said
        self._names = {spelling(parameter): name for name, parameter in self._parameters.items()}

    def options(self) -> list[str]:
        """All that were given."""
        return [option for option in self._names if self.has(option)]

    def has(self, option: str) -> bool:
        """Whether it was given, as more than a switch that stays as it is; of `--dtype int8`: whether that is its value."""
        name, _, value = option.partition(" ")
        name = self._names[name]
        default = self._parameters[name].default
        if value:
            return str(self._said.get(name, default)) == value
        argument = self._said.get(name, ())
        return argument != () and not (isinstance(argument, bool) and argument == default)

    def faults(self) -> list[str]:
        """What each condition finds wrong."""
        return [
            fault
            for option, name in self._names.items()
            if self.has(option)
            for condition in conditions(self._parameters[name].annotation)
            if (fault := condition.fault(option, self)) is not None
        ]


def conditions(annotation: object) -> list[Condition]:
    """Those of an option, from its type."""
    return [part for part in get_args(annotation)[1:] if isinstance(part, (With, Without, Alone))]


def spelling(parameter: inspect.Parameter) -> str:
    """An option as it is typed first; in capitals an argument by its place."""
    kinds = inspect.Parameter
    if parameter.kind is not kinds.KEYWORD_ONLY:
        return parameter.name.upper().replace("_", "-")
    names: list[Any] = [getattr(part, "name", None) for part in get_args(parameter.annotation)[1:]]
    long = [
        name for one in names for name in ([one] if isinstance(one, str) else one or ()) if name[:2] == "--"
    ]
    return str(long[0]) if long else f"--{parameter.name.strip('_').replace('_', '-')}"


def check(command: Callable[..., object], said: Mapping[str, object]) -> None:
    """Hold what was given to what each option says of the others.

    Raises:
        UsageError: one would have no effect.
    """
    if faults := Given(command, said).faults():
        raise UsageError("; ".join(faults))
