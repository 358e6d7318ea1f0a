"""YAML, TOML and JSON that somebody else may have written: plain values within bounds, then values of the types that are needed.

What these formats can do beyond plain values is what attacks and accidents are made of: aliases that double with each line,
ten thousand brackets, numbers of a million digits, a name twice. All of it is an error that says where.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from blockzoo.core.errors import DataError

LARGEST = 1 << 20
"""Characters of a document of options."""
DEEPEST = 64
"""Brackets within brackets."""
DIGITS = 64
"""Of a whole number."""
REPEATED = 16
"""Times the length of a document that its aliases may make of it."""
SHOWN = 5  # faults in one message


def describe(value: object) -> str:
    """A value of unknown size and kind, as a few characters without control characters."""
    if isinstance(value, str):
        text = repr(value[:60])
    elif isinstance(value, bool | float | None):
        text = repr(value)
    elif isinstance(value, int):
        text = repr(value) if value.bit_length() < 256 else f"a number of {value.bit_length():,} bits"
    else:
        return f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:37] + "..."


def decoded(content: bytes, name: str, most: int = LARGEST) -> str:
    """The text of a document.

    Args:
        content: of the file; a byte order mark is left out.
        name: of the document, for the error.
        most: bytes that it may have.

    Raises:
        DataError: it is longer, or no UTF-8.
    """
    if len(content) > most:
        raise DataError(f"{name} has {len(content):,} bytes; at most {most:,} are read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}: line {line} is no text (UTF-8): {error.reason}") from None


# --- formats ------------------------------------------------------------------------------------------


def from_json(text: str, name: str) -> Any:
    """The value of a JSON document.

    Raises:
        DataError: no JSON, too deep, or a number of more than 64 digits.
    """
    try:
        if text.count("[") + text.count("{") > DEEPEST:
            _check_depth(re.sub(r'"(?:[^"\\]|\\.)*"', "", text), name)
        value = json.loads(text, **_int_hook(text))
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a character is none
        return value
    except DataError:
        raise
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name} is no JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is no JSON that can be used: {first_line(error)}") from None


def from_toml(text: str, name: str) -> dict[str, Any]:
    """The table of a TOML document.

    Raises:
        DataError: no TOML, or too deep.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        if any(line.partition("=")[0].count(".") > DEEPEST for line in text.splitlines()):
            raise DataError(f"{name}: names within names are more than {DEEPEST} deep")
        _check_depth(text, name)
        _check_digits(text, name)
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is not valid TOML: {first_line(error)}") from None


def from_yaml(text: str, name: str) -> Any:
    """The value of a YAML document.

    Raises:
        DataError: no YAML, several documents, too deep, a name twice, or aliases that make much of little.
    """
    import yaml

    try:
        _check_yaml(text, name)
        return yaml.load(text, _loader())  # a safe loader: plain values only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise DataError(f"{name} is not valid YAML: {first_line(error.problem or error)}{place}") from None
    except DataError:
        raise
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
        AttributeError,
    ) as error:
        raise DataError(f"{name} is not valid YAML: {first_line(error)}") from None


def _check_yaml(text: str, name: str) -> None:
    """Follow the events of a document, which takes no more than the document, before values are made of them."""
    import yaml

    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    size, allowed = 0, REPEATED * (len(text) + 64)
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise DataError(f"{name}: {describe(anchor)} refers to itself, or to nothing")
            size += sizes[anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size += len(event.value) + 1
            if anchor:
                sizes[anchor] = len(event.value) + 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((anchor, size))
            size += 2
            if len(opened) > DEEPEST:
                raise DataError(f"{name}: more than {DEEPEST} brackets deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            own, before = opened.pop()
            if own:
                sizes[own] = size - before
        if size > allowed:
            raise DataError(f"{name}: its aliases make more than {allowed:,} characters of {len(text):,}")


@functools.cache
def _loader() -> Any:
    """PyYAML's safe loader, which takes a name once and numbers of a length that is meant."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"{describe(key.value)} occurs twice", problem_mark=key.start_mark
                    )
                if isinstance(key, yaml.ScalarNode):
                    seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: Any) -> Any:
            if len(str(node.value)) > DIGITS:
                raise yaml.constructor.ConstructorError(
                    problem=f"a number of {len(node.value):,} characters", problem_mark=node.start_mark
                )
            return super().construct_yaml_int(node)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    return Loader


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST:
            raise DataError(f"{name} is more than {DEEPEST} brackets deep")


def _check_digits(text: str, name: str) -> None:
    if re.search(rf"(?<![.\w\"'])[-+]?[0-9a-fA-Fxob_]{{{DIGITS + 1}}}", text):
        for line, content in enumerate(text.splitlines(), 1):
            bare = re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", content)
            if re.search(rf"(?<![.\w])[-+]?[0-9][0-9a-fA-Fxob_]{{{DIGITS}}}", bare):
                raise DataError(f"{name}: line {line} has a number of more than {DIGITS} digits")


def _int_hook(text: str) -> dict[str, Any]:
    """Of `json.loads`: given only where the text has so many digits, since it makes reading slower."""
    return {"parse_int": _short_int} if re.search(rf"\d{{{DIGITS + 1}}}", text) else {}


def _short_int(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def first_line(error: object) -> str:
    """What another library says, as one line without control characters."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    shown = "".join(c if c.isprintable() else "?" for c in first)
    return shown if len(shown) <= 200 else shown[:197] + "..."


# --- types --------------------------------------------------------------------------------------------


def checked(kind: object, value: object, name: str) -> Any:
    """The value as this type: a class with annotations, or any type that pydantic knows.

    Raises:
        DataError: every fault with its place, the first few of them.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        faults = [f"{_place(e['loc'])}{_fault(e)}, not {describe(e['input'])}" for e in error.errors()]
    except RecursionError:
        faults = ["it is too deep"]
    raise DataError(f"{name}: {_some(faults)}")


@functools.lru_cache(256)
def _fields_of(kinds: tuple[Any, ...]) -> Any:
    """A model whose fields have these types, in their order; made once: that takes 5 ms, and studies ask at each run."""
    from pydantic import ConfigDict, create_model

    definitions: Any = {f"field_{place}": (kind, ...) for place, kind in enumerate(kinds)}
    return create_model(
        "Fields", __config__=ConfigDict(strict=True, arbitrary_types_allowed=True), **definitions
    )


def check_fields(kinds: Mapping[str, Any], values: Mapping[str, Any], name: str) -> None:
    """Hold values by name to the types of these names: no other names, and no text where a number is meant.

    Args:
        kinds: the type of each name, as `typing.get_type_hints` gives those of a class or a function.
        values: for some of the names.
        name: of what holds them, for the error.

    Raises:
        DataError: every fault, the first few of them.
    """
    from pydantic import ValidationError

    unknown = [key for key in values if key not in kinds]
    if unknown:
        shown = ", ".join(map(describe, unknown[:SHOWN]))
        raise DataError(f"{name}: unknown {shown}; known: {', '.join(kinds)}")
    try:
        _fields_of(tuple(kinds[key] for key in values))(
            **{f"field_{place}": value for place, value in enumerate(values.values())}
        )
    except ValidationError as error:
        faults: dict[str, str] = {}
        for e in error.errors():
            key = list(values)[int(str(e["loc"][0]).removeprefix("field_"))]
            faults.setdefault(key, f"{key}: {_fault(e)}, not {describe(values[key])}")
        raise DataError(f"{name}: {_some(list(faults.values()))}") from None
    except RecursionError:
        raise DataError(f"{name}: it is too deep") from None


def _fault(error: Mapping[str, Any]) -> str:
    """What pydantic says of a value, for someone who wrote a document rather than Python."""
    return str(error["msg"]).replace("a valid tuple", "a list")


def _some(faults: list[str]) -> str:
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return f"{'; '.join(faults[:SHOWN])}{more}"


@functools.cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _place(steps: tuple[Any, ...]) -> str:
    shown = ".".join(describe(s).strip("'") if isinstance(s, str) else str(s) for s in steps)
    return f"{shown}: " if shown else ""
