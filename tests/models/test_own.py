"""A class of the user's as a network: built as it stands, told only what data or an option fix, and that said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.core.said import forget_what_was_said
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.own import arguments, channels_of, classes_of
from blockzoo.models.resolve import build_network
from blockzoo.profile import profile_block

CODE = """
from torch import nn

class {name}(nn.Sequential):
    def __init__({parameters}):
        super().__init__(nn.Conv2d({channels}, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, {classes}, 1))
"""


def code(folder: Path, parameters: str, channels: str = "3", classes: str = "2", name: str = "UNet") -> str:
    path = folder / "mine.py"
    path.write_text(
        CODE.format(name=name, parameters=f"self, {parameters}", channels=channels, classes=classes)
    )
    return f"{path}:{name}"


def outputs(network: nn.Module) -> int:
    return network(torch.zeros(1, network[0].in_channels, 8, 8)).shape[1]  # type: ignore[index]


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    forget_what_was_said()


@pytest.mark.parametrize(
    "name", ["classes", "num_classes", "n_classes", "out_channels", "nClasses", "num_outputs"]
)
def test_defaults_are_left_alone(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    subject = code(tmp_path, f"{name}=2", classes=name)
    classes = classes_of(subject, None, 1000)
    with caplog.at_level(logging.WARNING):
        network = build_network(NetworkSpec(subject, out_dim=classes))
    assert classes is None and outputs(network) == 2
    assert f"built as it stands, {name}=2" in caplog.text
    assert outputs(build_network(NetworkSpec(subject))) == 2
    assert outputs(build_network(NetworkSpec(f"tiled:F4:{subject}"))) == 2


def test_what_is_chosen_is_told_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    subject = code(tmp_path, "in_ch=1, classes=2", channels="in_ch", classes="classes")
    with caplog.at_level(logging.WARNING):
        network = build_network(NetworkSpec(subject, out_dim=classes_of(subject, 5, 1000), in_channels=3))
    assert outputs(network) == 5 and network[0].in_channels == 3  # type: ignore[index]
    assert "built with classes=5 (default 2), in_ch=3 (default 1)" in caplog.text
    assert channels_of(subject) == 1 and channels_of("timm:resnet18") == 3


def test_a_number_without_a_default_is_the_usual_one(tmp_path: Path) -> None:
    subject = code(tmp_path, "num_classes", classes="num_classes")
    assert (
        classes_of(subject, None, 1000) == 1000 == outputs(build_network(NetworkSpec(subject, out_dim=1000)))
    )
    assert (
        classes_of("torchvision:resnet18", None, 1000) == 1000
        and NetworkSpec("torchvision:resnet18").out_dim == 10
    )


def test_no_such_parameter(tmp_path: Path) -> None:
    subject = code(tmp_path, "depth=3")
    assert classes_of(subject, None, 1000) is None
    with pytest.raises(UsageError, match=r"takes no number of classes \(depth\), and 5 were asked"):
        classes_of(subject, 5, 1000)
    assert arguments(Subject.parse(subject), 10, 3) == {}


def test_what_nothing_says_is_named(tmp_path: Path) -> None:
    subject = code(tmp_path, "depth, width, classes=2")
    with pytest.raises(UsageError, match="nothing says its depth, width; give them defaults"):
        build_network(NetworkSpec(subject))


def test_a_class_that_cannot_be_built_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("class A:\n    pass\ndef b(classes=1):\n    raise KeyError('here')\n")
    with pytest.raises(UsageError, match="makes a A: name a class"):
        build_network(NetworkSpec(f"{path}:A"))
    with pytest.raises(UsageError, match=r"b\(classes=4\) cannot be built: KeyError: 'here'"):
        build_network(NetworkSpec(f"{path}:b", out_dim=4))


def test_the_other_lenses_leave_it_alone_too(tmp_path: Path) -> None:
    subject = code(tmp_path, "classes=7", classes="classes")
    assert profile_block(subject, input_shape=(1, 3, 8, 8)).output_shape[1] == 7
    assert profile_block(subject, input_shape=(1, 3, 8, 8), out_dim=4).output_shape[1] == 4


@pytest.mark.parametrize(
    "parameters, why",
    [
        ("*args", r"takes arguments of any number \(\*args\)"),
        ("stride=1", "takes a stride"),
        ("in_chs", "must be told its in_chs"),
    ],
)
def test_what_is_taken_for_a_block_is_told_why(tmp_path: Path, parameters: str, why: str) -> None:
    subject = code(tmp_path, parameters)
    with pytest.raises(UsageError, match=f"{why}, so it is taken for a block without a position"):
        NetworkSpec(subject)
    assert NetworkSpec(f"{subject}/mid").parsed.is_block
