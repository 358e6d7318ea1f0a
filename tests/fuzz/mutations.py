"""Seeded damage: what disks, editors and attackers do to a file. Mutation `number` of a file is the same on every machine."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

Damage = Callable[[bytearray, random.Random], bytes]

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
VALUE = re.compile(rb"\"[^\"\n]*\"|'[^'\n]*'|[-\w.+]+|\[[^\[\]\n]*\]|\{[^{}\n]*\}")
NUMBERS = b"0 -1 1 2 255 65536 4294967295 9223372036854775808 1e308 1e999 -0.0 .5 nan NaN inf".split()
NUMBERS += [b"9" * 30, b"9" * 5000, b"1:" * 30 + b"1"]
VALUES = [
    *NUMBERS,
    *b"null true false [] {} [[]] '' \"\" ~ 2026-01-01 *a &a !!binary <<: x [1,'a'] {a:1}".split(),
]
VALUES += [b"[" * 2000, b"{" * 2000, b"x" * 3000, b"\x1b[2J", b"[/red]", b"=1+1", b"\xff\xfe", "é".encode()]


def mutated(content: bytes, name: str, number: int, *, text: bool) -> bytes:
    """The content with one to three damages.

    Args:
        name, number: they are the seed.
        text: damages of structured text happen too: values of other types, lines twice or gone.
    """
    draw = random.Random(f"{name}-{number}")
    kinds = [*BYTES, *TEXT] if text else BYTES
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice(kinds)(bytearray(content), draw)
    return content


def _place(content: bytearray, draw: random.Random) -> int:
    """Half of all damage is at the head, where sizes and types stand."""
    end = max(1, len(content))
    return draw.randrange(min(end, 256)) if draw.random() < 0.5 else draw.randrange(end)


def _slice(content: bytearray, draw: random.Random) -> tuple[int, int]:
    start = _place(content, draw)
    return start, start + draw.choice((1, 2, 4, 8, 16, 64, 256))


def _flip_bit(content: bytearray, draw: random.Random) -> bytes:
    if content:
        content[_place(content, draw)] ^= 1 << draw.randrange(8)
    return bytes(content)


def _set_byte(content: bytearray, draw: random.Random) -> bytes:
    if content:
        content[_place(content, draw)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return bytes(content)


def _truncate(content: bytearray, draw: random.Random) -> bytes:
    return bytes(content[: _place(content, draw)])


def _repeat_slice(content: bytearray, draw: random.Random) -> bytes:
    start, stop = _slice(content, draw)
    return bytes(content[:start] + content[start:stop] * draw.choice((2, 3, 50)) + content[stop:])


def _drop_slice(content: bytearray, draw: random.Random) -> bytes:
    start, stop = _slice(content, draw)
    return bytes(content[:start] + content[stop:])


def _swap_slices(content: bytearray, draw: random.Random) -> bytes:
    start, stop = _slice(content, draw)
    size, other = stop - start, _place(content, draw)
    one, two = content[start:stop], content[other : other + size]
    if abs(start - other) >= size and len(one) == len(two):
        content[start:stop], content[other : other + size] = two, one
    return bytes(content)


def _insert(content: bytearray, draw: random.Random) -> bytes:
    at = _place(content, draw)
    return bytes(content[:at] + draw.randbytes(draw.choice((1, 4, 32))) + content[at:])


def _append(content: bytearray, draw: random.Random) -> bytes:
    return bytes(content + draw.choice((b"\0", b"\n", draw.randbytes(16), content[-64:], content)))


def _extreme_word(content: bytearray, draw: random.Random) -> bytes:
    size = draw.choice((2, 4, 8))
    at, largest = _place(content, draw), (1 << 8 * size) - 1
    value = draw.choice((0, 1, largest, largest >> 1, (largest >> 1) + 1, 1 << 4 * size))
    order = draw.choice("<>")
    content[at : at + size] = struct.pack(f"{order}{ {2: 'H', 4: 'I', 8: 'Q'}[size] }", value)
    return bytes(content)


def _another(pattern: re.Pattern[bytes], others: list[bytes]) -> Damage:
    def damage(content: bytearray, draw: random.Random) -> bytes:
        matches = list(pattern.finditer(content, 0, 100_000))
        if matches:
            chosen = draw.choice(matches)
            content[chosen.start() : chosen.end()] = draw.choice(others)
        return bytes(content)

    return damage


def _swap_values(content: bytearray, draw: random.Random) -> bytes:
    spans = [m.span() for m in VALUE.finditer(content, 0, 100_000)]
    if len(spans) > 1:
        (a, b), (c, d) = sorted(draw.sample(spans, 2))
        return bytes(content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:])
    return bytes(content)


def _of_lines(change: Callable[[list[bytes], int, random.Random], None]) -> Damage:
    def damage(content: bytearray, draw: random.Random) -> bytes:
        lines = bytes(content).splitlines(keepends=True)
        if lines:
            change(lines, draw.randrange(len(lines)), draw)
        return b"".join(lines)

    return damage


def _line_twice(lines: list[bytes], at: int, draw: random.Random) -> None:
    lines.insert(draw.randrange(len(lines) + 1), lines[at])


def _line_gone(lines: list[bytes], at: int, draw: random.Random) -> None:
    del lines[at]


def _lines_swapped(lines: list[bytes], at: int, draw: random.Random) -> None:
    other = draw.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


BYTES: list[Damage] = [
    _flip_bit,
    _set_byte,
    _truncate,
    _repeat_slice,
    _drop_slice,
    _swap_slices,
    _insert,
    _append,
    _extreme_word,
]
TEXT: list[Damage] = [
    _another(NUMBER, NUMBERS),
    _another(VALUE, VALUES),
    _another(VALUE, VALUES),
    _swap_values,
    _of_lines(_line_twice),
    _of_lines(_line_gone),
    _of_lines(_lines_swapped),
]
