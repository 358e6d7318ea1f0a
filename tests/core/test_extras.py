"""What a message says about installing an extra: of a checkout its folder, of a wheel its file, else the packages themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blockzoo.core import extras
from blockzoo.core.errors import UsageError
from blockzoo.core.extras import how_to_install, needed, packages_of
from blockzoo.core.shipped import checkout

ROOT = Path(__file__).parents[2]


def installed(monkeypatch: pytest.MonkeyPatch, url: str, requires: list[str] | None = None) -> None:
    """As if the package were installed, and this had been noted of it."""
    said = SimpleNamespace(requires=requires, read_text=lambda name: json.dumps({"url": url}))
    monkeypatch.setattr(extras, "checkout", lambda: None)
    monkeypatch.setattr(extras, "distribution", lambda name: said)


def test_a_checkout_is_named_by_its_folder() -> None:
    assert checkout() == ROOT
    assert how_to_install("onnx") == f"pip install -c {ROOT}/constraints.txt -e '{ROOT}[onnx]'"


def test_a_wheel_is_named_by_its_file_while_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "my wheels" / "blockzoo-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    requires = ["numpy>=1.26", 'pyarrow>=15; extra == "parquet"', "ray>=2.30; extra == 'ray'"]
    installed(monkeypatch, wheel.as_uri(), requires)
    assert how_to_install("parquet") == f"pip install '{wheel}[parquet]'"
    wheel.unlink()
    assert how_to_install("parquet") == "pip install 'pyarrow>=15'"


def test_packages_are_those_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = [
        "numpy>=1.26",
        'pyarrow>=15; extra == "nas"',
        'optuna>=4; python_version >= "3.9" and extra == "nas"',
        'x; extra == "nas2"',
    ]
    installed(monkeypatch, "https://example.org/blockzoo.whl", requires)
    assert packages_of("nas") == ["pyarrow>=15", "optuna>=4"]
    assert how_to_install("nas") == "pip install 'pyarrow>=15' 'optuna>=4'"


def test_no_message_names_an_index_that_has_no_package_of_ours() -> None:
    for path in (ROOT / "blockzoo").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pip install '?blockzoo", text), path


@pytest.mark.parametrize(
    "extra", ["parquet", "nas", "onnx", "openvino", "energy", "ray", "slurm", "tensorboard"]
)
def test_extras_that_messages_name_are_there(extra: str) -> None:
    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_what_is_missing_says_how() -> None:
    with pytest.raises(UsageError, match=r"times need nothing_of_that_name.*-e '.*\[onnx\]'"):
        needed("nothing_of_that_name", "onnx", "times")


def test_every_extra_that_the_code_asks_for_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`needed(..., extra, ...)` and `how_to_install(extra)` with a name that pyproject.toml lacks would lead nowhere."""
    asked: set[Any] = set()
    for path in (ROOT / "blockzoo").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r"how_to_install\(['\"](\w+)['\"]\)", text))
        asked |= set(re.findall(r"needed\([^()]*?,\s*\"(\w+)\",", text))
    extras_of = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(asked) >= 6 and asked <= set(extras_of)


def test_the_table_of_installing_has_the_extras_that_there_are() -> None:
    text = (ROOT / "docs" / "installing.md").read_text().partition("## Extras")[2].partition("\n## ")[0]
    told = [
        name
        for line in text.splitlines()
        if line[:3] == "| `"
        for name in re.findall("`(.+?)`", line.split("|")[1])
    ]
    block = (
        (ROOT / "pyproject.toml")
        .read_text()
        .partition("[project.optional-dependencies]")[2]
        .partition("\n[")[0]
    )
    assert sorted(told) == sorted(re.findall(r"^(\w+) = ", block, re.M)), (
        "docs/installing.md against pyproject.toml"
    )


def test_pages_that_name_an_extra_for_a_package_name_one_that_has_it() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for package, extra in re.findall(r"(\w+) \((?:in )?the extra `(\w+)`\)", page.read_text()):
            assert package == extra, f"{page.name}: {package} has an extra of its own"
