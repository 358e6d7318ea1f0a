"""What all results inherit: each with a made-up class; `tests/test_results.py` tries the real ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from matplotlib.figure import Figure

from blockzoo.core import extras
from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.result import LARGEST, MOST_ROWS, Result, as_html, load_result

HOSTILE = "<script>alert(1)</script>\x1b[31m$x$"


@dataclass(frozen=True, eq=False, repr=False)
class Sizes(Result):
    """Sizes by name."""

    sizes: dict[str, float]
    columns_first: ClassVar[tuple[str, ...]] = ("size",)

    def headline(self) -> str:
        return f"{len(self.sizes)} sizes of {', '.join(self.sizes)}"

    def table_rows(self) -> list[dict[str, Any]]:
        return [{"name": name, "size": size, "none": None} for name, size in self.sizes.items()]

    def figure(self) -> Figure:
        figure = Figure()
        figure.text(0.5, 0.5, "sizes")
        return figure


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    RESULTS["sizes"] = Sizes
    yield
    del RESULTS["sizes"]


def written(tmp_path: Path, **changes: Any) -> Path:
    path = Sizes({"a": 1.0}).save(tmp_path / "sizes.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_equal_results_make_equal_files_and_come_back(tmp_path: Path) -> None:
    first, other = Sizes({"a": float("nan")}), Sizes({"a": float("nan")})
    assert first == other and first != Sizes({"a": 1.0}) and first != {"a": 1.0}
    texts = [result.save(tmp_path / f"{i}.json").read_text() for i, result in enumerate((first, other))]
    assert texts[0] == texts[1]
    assert Sizes.load(tmp_path / "0.json") == first and load_result(tmp_path / "1.json") == first


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema_version": 2}, "schema version 2, and this blockzoo reads 1 to 1: update it"),
        ({"schema_version": "1"}, "schema version '1'"),
        ({"result": "size"}, "'size', which is no result; known: .*sizes"),
        ({"result": "os:system"}, "which is no result"),
        ({"result": [1]}, "which is no result"),
        ({"more": 1}, "is no file of a result"),
        ({"values": {"sizes": {"a": "1"}}}, r"sizes\.json: sizes\.sizes\['a'\] is to be a number, not '1'"),
        ({"values": []}, "is to be a table"),
    ],
)
def test_a_changed_file_is_an_error(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Sizes.load(written(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[1]", "{", "\xff", "[" * 100, "NaN"])
def test_a_file_of_something_else_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.json"):
        load_result(tmp_path / "a.json")


def test_a_file_that_is_not_there_or_is_without_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"gone\.json cannot be read: No such file"):
        load_result(tmp_path / "gone.json")
    assert LARGEST > 2**20
    monkeypatch.setattr("blockzoo.core.result.LARGEST", 10)
    with pytest.raises(DataError, match="at most 10 are read"):
        load_result(written(tmp_path))


def test_the_file_of_another_class_is_named(tmp_path: Path) -> None:
    class Other(Sizes): ...

    with pytest.raises(DataError, match=r"holds a Sizes, not a Other: Sizes\.load"):
        Other.load(written(tmp_path))
    with pytest.raises(UsageError, match="Other is not registered"):
        Other({}).save(tmp_path / "other.json")


def test_names_of_strangers_are_texts() -> None:
    result = Sizes({HOSTILE: 2.0})
    assert repr(result) == r"<Sizes: 1 sizes of <script>alert(1)</script>\x1b[31m$x$>"
    html = result._repr_html_()
    assert "<script" not in html and "\x1b" not in html and "&lt;script&gt;alert(1)" in html


def test_a_long_table_says_what_is_left_out() -> None:
    html = Sizes({str(i): float(i) for i in range(MOST_ROWS + 5)})._repr_html_()
    assert (
        html.count("<tr>") == MOST_ROWS + 1 and "Not shown: 5 more rows. to_pandas() has everything." in html
    )
    assert html.index(">size<") < html.index(">name<") and ">none<" not in html


def test_a_long_row_says_what_is_left_out() -> None:
    html = as_html([{f"value{i:02}": float(i) for i in range(MOST_ROWS + 3)}])
    assert html.count("<tr>") == MOST_ROWS + 1 and "value19" in html
    assert "Not shown: value20, value21, value22. to_pandas() has everything." in html


def test_columns_beyond_those_shown_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockzoo.core.result.MOST_COLUMNS", 1)
    html = Sizes({"a": 1.0, "b": 2.0})._repr_html_()
    assert "Not shown: columns name." in html and ">name<" not in html


def test_a_picture_is_written_and_given_back(tmp_path: Path) -> None:
    assert isinstance(Sizes({}).plot(tmp_path / "a.png"), Figure)
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(UsageError, match=r"a\.exe: a picture is a file that ends in \.png"):
        Sizes({}).plot(tmp_path / "a.exe")
    with pytest.raises(UsageError, match=r"a result is a file that ends in \.json"):
        Sizes({}).save(tmp_path / "a.pkl")


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"need pandas, which is not installed: pip install .*\[pandas\]'"):
        Sizes({}).to_pandas()
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert "\npandas = [" in declared and extras.needed("json", "pandas", "tests") is json


def test_a_result_that_says_too_little_cannot_be_made() -> None:
    class Silent(Result):
        """It says nothing."""

    with pytest.raises(TypeError, match="figure"):
        Silent()  # type: ignore[abstract]
