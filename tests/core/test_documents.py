"""Documents of others: plain values, or one sentence that says where; never much of little."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from blockzoo.core.bounds import TooLarge, allowance, check_room, memory_size
from blockzoo.core.documents import checked, decoded, describe, from_json, from_toml, from_yaml
from blockzoo.core.errors import DataError, UsageError

ALIASES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{m}'] * 8)}]\n" for m, n in ("ab", "bc", "cd", "de", "ef")
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{n}: &{n} {{<<: [{', '.join([f'*{m}'] * 8)}]}}\n" for m, n in ("ab", "bc", "cd", "de", "ef")
)


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (from_yaml, ALIASES, "aliases make more than"),
        (from_yaml, MERGES, "aliases make more than"),
        (from_yaml, "a: &a [*a]", "refers to itself"),
        (from_yaml, "[" * 10_000, "deep"),
        (from_yaml, "a: 1\nb: 2\na: 3", r"'a' occurs twice \(line 3"),
        (from_yaml, "a: " + "1:" * 4000 + "1", "a number of 8,001 characters"),
        (from_yaml, "a: 0b" + "1" * 10_000, "a number of"),
        (from_yaml, "a: !!timestamp x", "not valid YAML"),
        (from_yaml, "a: 2026-13-45", "not valid YAML"),
        (from_yaml, "a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        (from_yaml, "a: 1\n---\nb: 2", "another document"),
        (from_yaml, "a: \x00", "not valid YAML"),
        (from_json, "[" * 10_000, "deep"),
        (from_json, "9" * 5000, "5,000 digits"),
        (from_json, '{"a": 1,\n"b" 2}', "line 2 column 5"),
        (from_json, r'["\ud800"]', "surrogates"),
        (from_toml, "a = " + "[" * 10_000, "deep"),
        (from_toml, "a." * 50_000 + "a = 1", "deep"),
        (from_toml, "[" + "a." * 50_000 + "a]", "deep"),
        (from_toml, "a = 0x" + "f" * 10_000, "more than 64 digits"),
        (from_toml, "a = 1\na = 2", "not valid TOML"),
    ],
)
def test_what_these_formats_can_do_beyond_plain_values(
    read: Callable[[str, str], Any], text: str, reason: str
) -> None:
    with pytest.raises(DataError, match=reason) as refused:
        read(text, "the file")
    assert "the file" in str(refused.value) and len(str(refused.value)) < 500


def test_plain_values_come_as_their_own_libraries_read_them() -> None:
    import json

    import yaml

    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

    text = "a: [1, 2.5, x, null, true]\nb: {c: &c [1, 2], d: *c}\ne: 'it''s'\n"
    assert from_yaml(text, "x") == yaml.safe_load(text)
    document = '{"a": [1, 2.5, "[[[[", null], "b": "' + "9" * 100 + '", "c": -0.5e3}'
    assert from_json(document, "x") == json.loads(document)
    table = "a = [1, 2.5]\nb = '" + "9" * 100 + "'\n[c]\nd = 2026-01-01\n"
    assert from_toml(table, "x") == tomllib.loads(table)


@dataclass
class Request:
    epochs: int
    names: tuple[str, ...] = ()


def test_faults_of_a_value_are_named_with_their_place() -> None:
    assert checked(Request, {"epochs": 3, "names": ["a"]}, "x") == Request(3, ("a",))
    with pytest.raises(DataError, match=r"x\.yaml: epochs: .*not 'many'; names\.1: .*not a dict"):
        checked(Request, {"epochs": "many", "names": ["a", {}]}, "x.yaml")


def test_what_is_described_is_short_and_can_be_printed() -> None:
    for value in ("x" * 1000, "\x1b[2J", 10**5000, [1], {"a": 1}, 2.5, None, True, object()):
        assert len(describe(value)) <= 60 and describe(value).isprintable()


def test_bytes_of_a_document_are_bounded_and_text() -> None:
    assert decoded(b"\xef\xbb\xbfa: 1", "x") == "a: 1"
    with pytest.raises(DataError, match="line 2 is no text"):
        decoded(b"a: 1\n\xff", "x")
    with pytest.raises(DataError, match="at most 10 are read"):
        decoded(b"a" * 11, "x", 10)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("8GiB", 8 << 30), ("8g", 8 << 30), ("1.5 MB", 3 << 19), ("2k", 2048), ("1T", 1 << 40)],
)
def test_sizes_of_memory(text: str, size: int) -> None:
    assert memory_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1 PB", "1e9", "9" * 40, "٣"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="max-memory"):
        memory_size(text)


def test_room_is_a_multiple_of_the_size() -> None:
    check_room(allowance(1000), allowance(1000), "x")
    with pytest.raises(TooLarge, match="x would take 64 MiB"):
        check_room(allowance(1000) + 1, allowance(1000), "x")
