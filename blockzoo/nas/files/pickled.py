"""The pickle format (.pickle): a list of rows. Written for those who read it elsewhere; read only when allowed.

A pickle can run code. The reader here builds lists, tuples, dicts, text and numbers and refuses every other instruction.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from blockzoo.core.bounds import allowance, check_room
from blockzoo.nas.files.columns import Column, from_values
from blockzoo.nas.files.errors import DamagedFile, describe
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.table import Table, python_rows

_FIXED = re.compile(
    rb"(?:[\]\(}ea\x94N\x88\x89tsu)\x85\x86\x87.]|G.{8}|[Kqh].|M..|[Jj].{4}){1,1000}", re.DOTALL
)
"""Instructions of fixed size that build plain values. Bounded, since `re` remembers each repetition."""
_SIZED = {b"\x8c": 1, b"X": 4, b"\x8d": 8, b"\x8a": 1}
"""Text and long numbers: an instruction, the bytes of its size, as many bytes."""


def check_plain(payload: bytes) -> None:
    """Refuse a pickle that holds any instruction but those that build lists, tuples, dicts, text and numbers.

    This keeps out code, and also instructions that only take memory (a memo index of four thousand million).
    """
    at, end = 0, len(payload)
    while at < end:
        code = payload[at : at + 1]
        if match := _FIXED.match(payload, at):
            at = match.end()
        elif code in _SIZED:
            n = _SIZED[code]
            at += 1 + n + int.from_bytes(payload[at + 1 : at + 1 + n], "little")
        elif code == b"\x80":
            at += 2
        elif code == b"\x95" and int.from_bytes(payload[at + 1 : at + 9], "little") <= end:
            at += 9
        elif code == b"r" and int.from_bytes(payload[at + 1 : at + 5], "little") <= end:
            at += 5
        else:
            raise DamagedFile(
                f"its byte {at:,} is an instruction that plain values do not need: it is not opened"
            )
    if at > end:
        raise DamagedFile("it is truncated")


class PlainUnpickler(pickle.Unpickler):
    """Unpickles plain values only: nothing is looked up, nothing is called."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise DamagedFile(
            f"it asks for {module[:60]}.{name[:60]}, and plain values need nothing: it is not opened"
        )

    def persistent_load(self, pid: object) -> NoReturn:
        raise DamagedFile("it refers to something outside itself: it is not opened")


def load_plain(payload: memoryview | bytes) -> Any:
    """A pickle of plain values.

    Raises:
        DamagedFile: anything else, or more memory asked for than its size can need.
    """
    raw = bytes(payload)
    check_plain(raw)
    try:
        value = PlainUnpickler(io.BytesIO(raw)).load()
    except DamagedFile:
        raise
    except Exception as error:  # whatever a damaged pickle raises, of any class
        raise DamagedFile(f"it is no whole pickle: {describe(str(error))}") from None
    check_room(
        unfolded_bytes(value), allowance(len(raw)), "what it holds, each shared part counted where it stands,"
    )
    return value


def unfolded_bytes(value: Any) -> int:
    """About how many bytes plain values take once no part is shared any more: a list of 27 lists in each other can be a tera.

    Raises:
        DamagedFile: a list that holds itself.
    """
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    waiting = [value]
    while waiting:
        part = waiting[-1]
        inner = (*part, *part.values()) if isinstance(part, dict) else part
        inside = inner if isinstance(part, list | tuple | dict) else ()
        if id(part) not in begun:
            begun.add(id(part))
            held = [x for x in inside if isinstance(x, list | tuple | dict) and id(x) not in sizes]
            if any(id(x) in begun for x in held):
                raise DamagedFile("it holds a list that holds itself")
            waiting.extend(held)
            continue
        waiting.pop()
        sizes[id(part)] = min(1 << 62, 56 + sum(8 + sizes.get(id(x), _leaf_bytes(x)) for x in inside))
    return sizes[id(value)]


def _leaf_bytes(value: Any) -> int:
    return 56 + 4 * len(value) if isinstance(value, str) else 32


def write(header: Header, columns: Mapping[str, Column]) -> tuple[Header, Iterator[bytes]]:
    """The header and the payload."""
    shape = (header.get("search_space") or {}).get("shape")
    rows = list(python_rows(Table(columns), shape))
    fields = {k: v for k, v in header.items() if k != "column_types"}
    return {**fields, "format": "pickle"}, iter([pickle.dumps(rows, protocol=4)])


def read(header: Header, payload: memoryview) -> dict[str, Column]:
    """The columns of a payload.

    Raises:
        DamagedFile: no list of rows of plain values.
    """
    names = header["columns"]
    rows = load_plain(payload)
    if not isinstance(rows, list) or not all(
        isinstance(row, list | tuple) and len(row) == len(names) for row in rows
    ):
        raise DamagedFile(f"it is no list of rows of {len(names)} values")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: from_values(name, list(values)) for name, values in zip(names, columns, strict=True)}
