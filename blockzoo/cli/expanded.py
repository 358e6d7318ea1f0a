"""Commands that take whole dataclasses of settings: each field is an option, with its names, its sentence and its default."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import Field, dataclass, replace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from blockzoo.cli.conditions import With
from blockzoo.core.checked import is_settings, settings_of, takes_several
from blockzoo.core.errors import UsageError

Command = Callable[..., int]


def expanded(*without: str) -> Callable[[Command], Command]:
    """A command whose parameters that are dataclasses of settings are replaced by an option for each field.

    A field that the command has as a parameter of its own stays with that one. The command is called with the dataclasses.

    Args:
        without: fields that it does not offer; they keep their defaults.
    """

    def decorate(command: Command) -> Command:
        own: dict[str, inspect.Parameter] = {}
        tables: dict[str, _Table] = {}
        # Not by `get_type_hints`: until Python 3.10 it hides what stands beside a type in an Optional where the default is None.
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
            if is_settings(parameter.annotation):
                usual = None if parameter.default is parameter.empty else parameter.default
                tables[name] = _Table(parameter.annotation, usual)
            else:
                own[name] = parameter
        options = {
            field.name: (table, _option(field, table))
            for table in tables.values()
            for field in settings_of(table.kind).values()
            if field.name not in own and field.name not in without
        }

        def call(*positional: Any, **given: Any) -> int:
            values: dict[int, dict[str, Any]] = {id(table): {} for table in tables.values()}
            for name in [name for name in given if name in options]:
                table, _ = options[name]
                values[id(table)][name] = _value(given.pop(name), name, table)
            settings = {name: table.with_(values[id(table)]) for name, table in tables.items()}
            return command(*positional, **given, **settings)

        functools.update_wrapper(call, command)
        del call.__dict__["__wrapped__"]  # or its signature would be the command's
        parameters = [*own.values(), *(option for _, option in options.values())]
        call.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
        return call

    return decorate


@dataclass(frozen=True)
class _Table:
    """A dataclass of settings, and the one that a command has as its default. Help makes none: their checks load pydantic."""

    kind: type
    usual: Any = None

    def default(self, name: str) -> Any:
        return getattr(self.kind if self.usual is None else self.usual, name)

    def with_(self, values: dict[str, Any]) -> Any:
        return self.kind(**values) if self.usual is None else replace(self.usual, **values)


def _option(field: Field[Any], table: _Table) -> inspect.Parameter:
    metadata, sentence, default = field.metadata, field.metadata["sentence"], table.default(field.name)
    bare = get_type_hints(table.kind)[field.name]
    several = not metadata["repeated"] and takes_several(bare)
    if scalar := _one_or_many(bare):
        if default is not None:
            sentence = f"{sentence} (default {default:{'g' if scalar is float else ''}})"
        bare, default = list[str] | None, None
    option = Parameter(
        name=_spellings(field),
        help=sentence,
        group=_about(table.kind),
        negative=f"--no-{field.name.replace('_', '-')}" if bare is bool and default else (),
        consume_multiple=several,
    )
    needed = [With(metadata["needs"])] if "needs" in metadata else []
    annotation = Annotated[(bare, option, *needed)]  # type: ignore[valid-type]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _spellings(field: Field[Any]) -> tuple[str, ...]:
    """The one that help shows first: of what may be repeated, that of one."""
    own, others = "--" + field.name.replace("_", "-"), field.metadata["names"]
    return (*others, own) if field.metadata["repeated"] else (own, *others)


def _about(kind: type) -> str:
    """What the settings of a dataclass are about, in words: the beginning of its docstring."""
    return re.split(r"[.:;]", kind.__doc__ or kind.__name__)[0]


def _one_or_many(kind: Any) -> Callable[[str], Any] | None:
    """What makes the values of a setting that is one number or a tuple of them: int, float or str."""
    scalars: list[Any] = [part for part in get_args(kind) if part in (int, float, str)]
    return scalars[0] if scalars and takes_several(kind) and get_origin(kind) is not tuple else None


def _value(given: Any, name: str, table: _Table) -> Any:
    """`--K 10` is a number, `--K 5 10 20` and `--K 5,10,20` one for each; not given, the default.

    Raises:
        UsageError: a word that is no such number.
    """
    scalar = _one_or_many(get_type_hints(table.kind)[name])
    if scalar is None:
        return given
    if given is None:
        return table.default(name)
    option = f"--{name.replace('_', '-')}"
    try:
        values = tuple(scalar(part) for word in given for part in word.strip("[]").split(",") if part)
    except ValueError:
        raise UsageError(f"{option} {' '.join(given)}: give {_numbers(scalar)}") from None
    if not values:
        raise UsageError(f"{option}: give {_numbers(scalar)}")
    return values[0] if len(values) == 1 else values


def _numbers(scalar: Callable[[str], Any]) -> str:
    one = {int: "a whole number", float: "a number"}.get(scalar, "a word")  # type: ignore[call-overload]
    return f"{one}, or several as in 4,2"
