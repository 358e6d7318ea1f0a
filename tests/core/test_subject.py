from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from blockzoo.core.errors import UnknownNameError, UsageError
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
    with pytest.raises(UsageError, match=says):
        Subject.parse(text)


def test_unknown_block_shows_the_ways_to_add_one() -> None:
    with pytest.raises(UnknownNameError) as error:
        Subject.parse("MyBlock")
    for way in ("--plugin", "BLOCKZOO_PLUGINS", "file.py:ClassName", "entry point", "pyproject.toml"):
        assert way in str(error.value)


OWN = """
class Block:
    def __init__(self, in_channels, out_channels, stride=1, position="mid"): ...

class Network:
    def __init__(self, num_classes=10, width=1, depth=1, dropout=0.0): ...
"""


def test_own_code_is_a_block_if_it_takes_a_stride(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    assert Subject.parse(f"{file}:Block").is_block
    assert not Subject.parse(f"{file}:Network").is_block
    assert str(Subject.parse(f"{file}:Network").at("mid")) == f"{file}:Network"


def test_a_class_stands_for_the_text_that_names_it(tmp_path: Path) -> None:
    from blockzoo.core.contracts import BLOCKS
    from blockzoo.core.plugins import load_object

    for name in ("InvertedResidual", "InvertedResidual@published"):
        assert str(Subject.parse(BLOCKS[name])) == name
    assert str(Subject.parse(Fraction)) == "fractions:Fraction"
    file = tmp_path / "own.py"
    file.write_text(OWN)
    assert str(Subject.parse(load_object(str(file), "Block"))) == f"{file}:Block"


def test_a_class_that_no_other_process_can_find_is_refused() -> None:
    class Local: ...

    with pytest.raises(UsageError, match="top of its file"):
        Subject.parse(Local)
    with pytest.raises(UsageError, match="benchmark_model"):
        Subject.parse(object())


def test_own_source_enters_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine: ...\n")
    subject = Subject.parse(f"{file}:Mine/mid")
    before = subject.source_digest()
    file.write_text("class Mine: x = 1\n")
    assert before and subject.source_digest() != before
    assert Subject.parse("ResNetBasicBlock/mid").source_digest() is None


def test_records_of_blocks_that_are_gone_can_be_read() -> None:
    from blockzoo.core.subject import as_stored

    for text in ("OfSomePlugin/mid", "gone.py:Block/late", "gone.py:Network"):
        with pytest.raises(UsageError):
            Subject.parse(text)
        with as_stored():
            subject = Subject.parse(text)
            assert str(subject) == text and subject.source_digest() is None
            assert subject.is_block == ("/" in text)


def test_several_subjects_where_one_is_asked_for() -> None:
    import blockzoo

    for call in (Subject.parse, blockzoo.profile_block, blockzoo.train_block):
        with pytest.raises(UsageError, match="a list of 2: give one subject"):
            call(["InvertedResidual/mid", "RepVGGBlock/late"])  # type: ignore[operator]
    with pytest.raises(UsageError, match="a list: give one network"):
        blockzoo.tiling.plan([1, 2], None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a list: give one RunConfig"):
        blockzoo.blockwise.run_blockwise([1, 2], None)  # type: ignore[arg-type]


def test_a_position_that_is_none_is_refused_beside_one_that_is_named_too() -> None:
    named = Subject.parse("ResNetBasicBlock/late")
    assert named.placed("early") == named.placed(None) == named
    assert Subject.parse("ResNetBasicBlock").placed(None).position == "mid"
    assert Subject.parse("ResNetBasicBlock").placed("early").position == "early"
    for text in ("ResNetBasicBlock/late", "ResNetBasicBlock", "timm:resnet18"):
        with pytest.raises(UsageError, match="choose one of early, mid, late"):
            Subject.parse(text).placed("x")
