"""Dataclasses whose fields are settings: each with default, sentence, unit and range, checked where it is made."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError

Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
BatchSize = Annotated[int, Ge(2)]
Finite = Annotated[float, Gt(0), Lt(float("inf"))]
NotNegative = Annotated[float, Ge(0), Lt(float("inf"))]
Share = Annotated[float, Gt(0), Lt(1)]
Part = Annotated[float, Gt(0), Le(1)]
Threads = Annotated[int, Ge(1), Le(1024)]
Seed = Annotated[int, Ge(0), Le(2**31 - 1)]
Kind = TypeVar("Kind", bound="Checked")


def setting(
    default: Any,
    sentence: str,
    *,
    unit: str = "",
    names: tuple[str, ...] = (),
    column: str = "",
    always: bool = False,
    repeated: bool = False,
) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: where nothing is said.
        sentence: what it is, for help texts and docs.
        unit: of its value.
        names: other spellings on the command line; `--its-name` is there by itself.
        column: what it means as a column of the results table; "": it is none.
        always: it is in the fingerprint at its default too, as are the fields of the first version. Others are left out at their
            default, so that older fingerprints stay.
        repeated: on the command line several values are several options, not several words after one.
    """
    metadata = {"sentence": sentence, "unit": unit, "names": names, "column": column, "always": always}
    return field(default=default, metadata=metadata | {"repeated": repeated})


def needing(option: str, one: Any) -> Any:
    """The setting that is given, which has no effect without another option, as that is typed: `--by`, or `--dtype int8`."""
    return field(default=one.default, metadata={**one.metadata, "needs": option})


def narrowed(owner: type, name: str, default: Any) -> Any:
    """The setting `name` of `owner` again, in a dataclass that inherits it and knows its value more closely."""
    return field(default=default, metadata=owner.__dataclass_fields__[name].metadata)  # type: ignore[attr-defined]


@functools.cache
def _model(cls: type) -> Any:
    """The pydantic model that checks the fields (imported late: help texts need none of it)."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(cls, include_extras=True)
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    definitions: Any = {f.name: (hints[f.name], ...) for f in fields(cls)}
    return create_model(cls.__name__, __config__=config, **definitions)


class Checked:
    """A dataclass that checks all its fields where it is made, and reports all faults at once."""

    def __post_init__(self) -> None:
        from pydantic import ValidationError

        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        try:
            cls: Any = type(self)
            checked = _model(cls)(**values)
        except ValidationError as error:
            faults = [
                f"  {'.'.join(map(str, e['loc']))}={describe(e['input'])}: {e['msg']}" for e in error.errors()
            ]
            raise UsageError("these values cannot be used:\n" + "\n".join(faults)) from None
        for name in values:
            object.__setattr__(self, name, getattr(checked, name))


def is_settings(kind: Any) -> bool:
    """Is it a dataclass of which a field is a setting?"""
    return isinstance(kind, type) and is_dataclass(kind) and bool(settings_of(kind))


def settings_of(*kinds: type) -> dict[str, Field[Any]]:
    """The settings of these dataclasses, by name."""
    return {f.name: f for kind in kinds for f in fields(kind) if "always" in f.metadata}


def takes_several(kind: Any) -> bool:
    """May a value of this type be a tuple?"""
    return any(get_origin(part) is tuple for part in (kind, *get_args(kind)))


def sentence_of(name: str, *kinds: type) -> str:
    """What a setting is, in words."""
    return str(settings_of(*kinds)[name].metadata["sentence"])


def default_of(name: str, *kinds: type) -> Any:
    """What a setting is where nothing is said."""
    return settings_of(*kinds)[name].default


def columns_of(*kinds: type) -> dict[str, str]:
    """The settings that are columns of the results table, each with what it means there."""
    return {name: f.metadata["column"] for name, f in settings_of(*kinds).items() if f.metadata.get("column")}


def texts_of(*kinds: type) -> set[str]:
    """The fields of dataclasses whose values are texts, or words to choose among; None aside."""
    hints = ((fields(kind), get_type_hints(kind)) for kind in kinds)
    return {f.name for own, of in hints for f in own if _is_text(of[f.name])}


def _is_text(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return all(isinstance(word, str) for word in get_args(hint))
    choices = [choice for choice in get_args(hint) if choice is not NoneType]
    one_of_several = get_origin(hint) in (Union, UnionType) and bool(choices)
    return hint is str or (one_of_several and all(map(_is_text, choices)))


def unusual(made: Any) -> Iterator[tuple[str, Any]]:
    """The settings of `made` that its fingerprint holds: those of the first version, and later ones not at their default."""
    for f in fields(made):
        if f.metadata.get("always") or f.default is MISSING or getattr(made, f.name) != f.default:
            yield f.name, getattr(made, f.name)


def sorted_into(given: Mapping[str, Any], *kinds: type[Any], what: str) -> list[Any]:
    """Keyword arguments as the dataclasses of settings that they belong to.

    Args:
        given: values by name.
        kinds: of settings, no two with a name in common.
        what: takes them, for the error.

    Raises:
        UsageError: a name that none of them has, with the nearest that one has; or a value that cannot be used.
    """
    known = settings_of(*kinds)
    if unknown := [name for name in given if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"{what} has no setting {unknown[0]!r}.{hint} Known: {', '.join(known)}")
    return [kind(**{f.name: given[f.name] for f in fields(kind) if f.name in given}) for kind in kinds]


def together(*made: Any) -> dict[str, Any]:
    """Dataclasses of settings as the keyword arguments of a Python function: what `sorted_into` sorts."""
    return {name: value for one in made for name, value in vars(one).items()}
