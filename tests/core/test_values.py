"""Plain values and back: nothing is lost, nothing is guessed, and what does not fit names its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockzoo.core.errors import BlockzooError, DataError, UsageError
from blockzoo.core.record import Record
from blockzoo.core.values import BEHIND, from_plain, to_plain

Thing = TypeVar("Thing")


class Way(NamedTuple):
    runtime: str = "eager"
    bits: int = 32


class Loose(SimpleNamespace):
    names: tuple[str, ...]


@dataclass(frozen=True)
class Inner(Generic[Thing]):
    things: Sequence[Thing]
    pair: tuple[float, Thing] | None = None


@dataclass
class Outer:
    inner: Inner[Way]
    ways: dict[Way, dict[str, Any]]
    matrix: npt.NDArray[np.float64]
    sure: npt.NDArray[np.bool_]
    mode: Literal["a", "b"] = "a"
    path: Path | None = None
    value: float = 0.0
    any: Any = None
    loose: Loose = field(default_factory=lambda: Loose(names=("x",), more=2))
    error: Exception = field(default_factory=Exception)
    names: frozenset[str] = frozenset()
    live: object = field(default=None, metadata=BEHIND)

    def __post_init__(self) -> None:
        if self.value == 7:
            raise UsageError("not 7, of all numbers")


def outer(**changes: Any) -> Outer:
    values: dict[str, Any] = {
        "inner": Inner([Way("x"), Way()], (float("inf"), Way())),
        "ways": {Way(): {"a": [1, None]}},
        "matrix": np.array([[1.5, float("nan")], [-float("inf"), 2]]),
        "sure": np.array([[True, False]]),
        "path": Path("a/b"),
        "any": {"number": float("nan"), "texts": ["é", {"number": "nan"}]},
        "error": BlockzooError("it broke"),
        "names": frozenset("ba"),
        "live": object(),
    }
    return Outer(**values | changes)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(to_plain(value), allow_nan=False))


def test_all_types_come_back() -> None:
    made = from_plain(Outer, through_json(outer()), "it")
    assert through_json(made) == through_json(outer())
    assert made.inner == Inner([Way("x"), Way()], (float("inf"), Way())) and isinstance(
        made.inner.things[0], Way
    )
    assert made.ways == {Way(): {"a": [1, None]}} and made.path == Path("a/b")
    assert made.matrix.dtype == np.float64 and made.sure.dtype == np.bool_
    assert made.loose.names == ("x",) and made.loose.more == 2 and made.names == frozenset("ab")
    assert isinstance(made.error, BlockzooError) and str(made.error) == "it broke" and made.live is None
    np.testing.assert_array_equal(made.matrix, outer().matrix)


def test_a_record_comes_back() -> None:
    record = Record(
        "trial", "0" * 16, "X/mid", {}, samples={"loss": [1.0, float("inf")], "acc": []}, notes="\udc80é"
    )
    made = from_plain(Record, through_json(record), "it")
    assert made.samples == record.samples and [*made.samples] == [*record.samples] and made.notes == "?é"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda t: t != "number"), inner),
        max_leaves=8,
    )
)
def test_what_has_no_type_comes_back_as_it_was(value: Any) -> None:
    assert repr(from_plain(Any, through_json(value), "it")) == repr(value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("inner", [], r"it\.inner is to be a table, not a list"),
        (
            "inner",
            {"things": [["x", "32"]]},
            r"it\.inner\.things\[0\]\.bits is to be a whole number, not '32'",
        ),
        ("inner", {"things": [["x"]]}, r"things\[0\] is to be a list of 2"),
        ("inner", {"things": [], "more": 1}, r"it\.inner has no field 'more'"),
        ("inner", {}, r"it\.inner lacks the field 'things'"),
        ("matrix", [[1, 2], [3]], "not of one length"),
        ("matrix", [["a"]], r"it\.matrix is to be numbers"),
        ("matrix", [[True]], r"it\.matrix is to be numbers"),
        ("sure", [[1.0]], r"it\.sure is to be truths"),
        ("mode", "c", r"it\.mode is to be 'a' or 'b', not 'c'"),
        ("value", True, r"it\.value is to be a number, not True"),
        ("value", {"number": "1"}, r"it\.value is to be a number"),
        ("value", 7, "not 7, of all numbers"),
        ("path", 1, r"it\.path is to be a path"),
        ("ways", [[["eager", 32]]], "is to be a pair"),
        ("ways", {"eager": {}}, r"ways, a key is to be a list of 2"),
        ("live", 1, r"it has no field 'live'"),
        ("names", "ab", r"it\.names is to be a list"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(name: str, value: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        from_plain(Outer, through_json(outer()) | {name: value}, "it")


def test_what_cannot_be_saved_is_an_error() -> None:
    with pytest.raises(DataError, match="a object cannot be saved as JSON"):
        to_plain({"a": object()})
    with pytest.raises(DataError, match="nothing that is saved has the type"):
        from_plain(complex, 1, "it")
