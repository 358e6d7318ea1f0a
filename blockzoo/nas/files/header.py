"""The YAML header that every dataset file starts with, whatever its payload: what the file holds and how.

`---\\n` header `---\\n` payload; the header ends within the first 1,024 bytes, anchors are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from blockzoo.core.documents import from_yaml
from blockzoo.core.errors import DataError
from blockzoo.nas.files.errors import DamagedFile, describe

Header = dict[str, Any]

LIMIT = 1024
MARK = b"---\n"
TYPES = ("training", "static", "env", "benchmarking")
_ORDER = (
    "version",
    "search_space",
    "dataset_type",
    "columns",
    "seed",
    "device",
    "epochs",
    "dataset",
    "part",
    "format",
    "column_types",
)


def parse(start: bytes) -> tuple[Header, int]:
    """The header of a file that begins with `start`, and the offset of its payload.

    Raises:
        DamagedFile: no header within the first 1,024 bytes, or one that says something impossible.
    """
    end = start.find(b"\n" + MARK, len(MARK) - 1, LIMIT)
    if not start.startswith(MARK) or end < 0:
        raise DamagedFile("no header between two lines '---' within its first 1,024 bytes")
    try:
        header = from_yaml(start[len(MARK) : end].decode("ascii"), "its header")
    except (DataError, UnicodeDecodeError) as error:
        raise DamagedFile(str(error) if isinstance(error, DataError) else "its header is no ASCII") from None
    check(header)
    return header, end + 1 + len(MARK)


def check(header: object) -> None:
    """All that is wrong with a header, at once.

    Raises:
        DamagedFile: with every fault named.
    """
    if not isinstance(header, dict):
        raise DamagedFile(f"its header holds {describe(header)}, not names and values")
    faults = []
    if header.get("version") != 1 or isinstance(header.get("version"), bool):
        faults.append(f"version {describe(header.get('version'))}: this reads version 1")
    if header.get("dataset_type") not in TYPES:
        faults.append(f"dataset_type {describe(header.get('dataset_type'))}: one of {', '.join(TYPES)}")
    columns = header.get("columns")
    if not isinstance(columns, list) or not columns or not all(_is_name(c) for c in columns):
        faults.append("columns: a list of names is needed")
    elif len(set(columns)) != len(columns):
        faults.append("columns: a name occurs twice")
    if not isinstance(header.get("format"), str):
        faults.append("format: custom, csv, pickle or native is needed")
    for name, least in (("seed", 0), ("epochs", 1)):
        value = header.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            faults.append(f"{name} {describe(value)}: a whole number of {least} or more is needed")
    faults += [
        f"{name} {describe(header[name])}: a name is needed"
        for name in ("device", "dataset", "part")
        if header.get(name) is not None and not _is_name(header[name])
    ]
    faults += [
        f"{name} {describe(header[name])}: names and values are needed"
        for name in ("search_space", "column_types", "setting", "held_out")
        if header.get(name) is not None and not isinstance(header[name], Mapping)
    ]
    faults += [
        f"{describe(name)}: {fault}" for name, value in header.items() if (fault := _not_plain(name, value))
    ]
    if faults:
        raise DamagedFile("its header is wrong: " + "; ".join(faults))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _not_plain(name: object, value: object) -> str:
    """Why a field is none that a header can have; nothing where it is."""
    if not _is_name(name):
        return "a field has a name"
    if isinstance(value, Mapping):
        return next((fault for n, v in value.items() if (fault := _not_plain(n, v))), "")
    if isinstance(value, list):
        return next((fault for v in value if (fault := _not_plain(name, v))), "")
    if isinstance(value, str):
        return "" if value.isprintable() else f"{describe(value)} cannot be printed"
    return (
        ""
        if value is None or isinstance(value, bool | int | float)
        else f"{describe(value)} is no plain value"
    )


def dump(header: Header) -> bytes:
    """The header as bytes, in the published order of its fields, both marks included.

    Raises:
        DamagedFile: faults as in `check`, or longer than 1,024 bytes.
    """
    check(header)
    fields = {name: header[name] for name in _ORDER if header.get(name) is not None}
    others = {name: value for name, value in header.items() if name not in _ORDER}
    text = yaml.safe_dump({**fields, **others}, sort_keys=False, default_flow_style=False)
    start = MARK + text.encode("ascii", "backslashreplace") + MARK
    if len(start) > LIMIT:
        raise DamagedFile(
            f"its header would take {len(start)} bytes; readers look at {LIMIT}: shorten names or columns"
        )
    return start


def same_content(a: Header, b: Header) -> bool:
    """Do two headers describe the same data, however it is written?"""
    ways = ("format", "column_types", "layout")
    return {k: v for k, v in a.items() if k not in ways} == {k: v for k, v in b.items() if k not in ways}
