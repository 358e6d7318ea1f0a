from __future__ import annotations

from pathlib import Path

import pytest

from blockzoo.core.errors import RequestError, UnknownNameError
from blockzoo.core.subject import Subject


@pytest.mark.parametrize(
    ("text", "canonical", "is_block"),
    [
        ("ResNetBasicBlock", "ResNetBasicBlock", True),
        ("UniversalInvertedBlock", "UniversalInvertedBottleneck", True),
        ("UniversalInvertedBlock@published/late", "UniversalInvertedBottleneck@published/late", True),
        (" ResNetBasicBlock/mid ", "ResNetBasicBlock/mid", True),
        ("timm:resnet18", "timm:resnet18", False),
        ("torchvision:resnet18", "torchvision:resnet18", False),
        ("package.module:MyBlock/early", "package.module:MyBlock/early", True),
    ],
)
def test_parses(text: str, canonical: str, is_block: bool) -> None:
    subject = Subject.parse(text)
    assert str(subject) == canonical
    assert subject.is_block is is_block
    assert Subject.parse(str(subject)) == subject


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no subject"),
        ("ResNetBasicBlok", "Did you mean ResNetBasicBlock"),
        ("ResNetBasicBlock@publishd", "ResNetBasicBlock@published"),
        ("ResNetBasicBlock@", "unknown block"),
        ("ResNetBasicBlock/middle", "early, mid, late"),
        ("nowhere.py:Block", "no file nowhere.py"),
        ("a b:Block", "neither a known prefix"),
        ("module:not a name", "name of a class"),
    ],
)
def test_refuses_with_the_remedy(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Subject.parse(text)


def test_unknown_block_shows_the_ways_to_add_one() -> None:
    with pytest.raises(UnknownNameError) as error:
        Subject.parse("MyBlock")
    for way in ("--plugin", "BLOCKZOO_PLUGINS", "file.py:ClassName", "entry point", "pyproject.toml"):
        assert way in str(error.value)


def test_own_source_enters_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine: ...\n")
    subject = Subject.parse(f"{file}:Mine/mid")
    before = subject.source_digest()
    file.write_text("class Mine: x = 1\n")
    assert before and subject.source_digest() != before
    assert Subject.parse("ResNetBasicBlock/mid").source_digest() is None
