"""A reader of BibTeX for tests: entries with values in braces, as strict as BibTeX is about these."""

from __future__ import annotations


def entries(text: str) -> list[tuple[str, str, dict[str, str]]]:
    """Kind, key and fields of each entry; text between entries is skipped, as BibTeX does.

    Raises:
        ValueError: braces that do not match, or a field that is none.
    """
    made = []
    while "@" in text:
        kind, _, rest = text.partition("@")[2].partition("{")
        body, text = _braced(rest)
        key, _, fields = body.partition(",")
        made.append((kind.strip(), key.strip(), _fields(fields)))
    return made


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    while text.strip():
        name, equals, rest = text.partition("=")
        name = name.strip(" ,\n")
        if not equals or not name.isidentifier() or not rest.lstrip().startswith("{"):
            raise ValueError(f"no field: {text[:60]!r}")
        value, text = _braced(rest.lstrip()[1:])
        fields[name] = value
    return fields


def _braced(text: str) -> tuple[str, str]:
    """What stands before the brace that closes, and what behind it; an escaped brace is a sign."""
    depth, place = 1, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 2
            continue
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return text[:place], text[place + 1 :]
        place += 1
    raise ValueError(f"braces do not match: {text[:60]!r}")
