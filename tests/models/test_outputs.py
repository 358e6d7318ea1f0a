"""Networks that return several outputs: the main one is used and said, or they are refused."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict, namedtuple
from pathlib import Path

import pytest
import torch
from torch import nn

from blockzoo.benchmark import benchmark_model
from blockzoo.core.errors import UsageError
from blockzoo.core.said import forget_what_was_said
from blockzoo.measure.memory import saved_for_backward
from blockzoo.models.outputs import class_scores, main_output
from blockzoo.profile import get_model_profile, profile_block
from blockzoo.train import train_block

X = torch.zeros(2, 10)
Y = torch.ones(2, 10)
Z = torch.ones(2, 3, 8, 8)
GoogLeNetOutputs = namedtuple("GoogLeNetOutputs", "aux2 logits aux1")


class ModelOutput(OrderedDict):
    """As those of transformers: a mapping whose entries may be missing."""


@dataclasses.dataclass
class Detected:
    boxes: torch.Tensor
    scores: torch.Tensor


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    forget_what_was_said()


@pytest.mark.parametrize(
    ("output", "path", "others"),
    [
        (X, "output", 0),
        ((X, Y), "output[0]", 1),
        ([X], "output[0]", 0),
        ({"out": X, "aux": Y}, "output['out']", 1),
        ({"aux": Y, "out": X}, "output['out']", 1),
        ({"anything": X}, "output['anything']", 0),
        (GoogLeNetOutputs(Y, X, Y), "output[1]", 2),
        (GoogLeNetOutputs(None, X, None), "output[1]", 0),
        (ModelOutput(loss=None, logits=X, hidden_states=(Y, Y)), "output['logits']", 2),
        (Detected(Y, X), "output.scores", 1),
        (({"logits": X, "aux": Y}, Z), "output[0]['logits']", 2),
    ],
)
def test_the_main_output(output: object, path: str, others: int, caplog: pytest.LogCaptureFixture) -> None:
    main = main_output(output, "Net")
    assert main.tensor is X and main.path == path and len(main.others) == others and main.certain
    assert (f"Net: the main output is {path}; beside it: " in caplog.text) == bool(others)
    assert class_scores(output, 2, 10) is X


@pytest.mark.parametrize("output", [[X, Y], {"first": X, "second": Y}, {0: X, 1: Y}])
def test_outputs_that_nothing_tells_apart_are_measured_and_not_trained(output: object) -> None:
    main = main_output(output)
    assert main.tensor is X and not main.certain
    with pytest.raises(UsageError, match="nothing says which one is trained"):
        class_scores(output, 2, 10)


@pytest.mark.parametrize(("output", "words"), [(None, "nothing"), ({}, "dict"), ([{"boxes": 3}], "list")])
def test_no_tensor_at_all(output: object, words: str) -> None:
    with pytest.raises(UsageError, match=f"returns .*{words}"):
        main_output(output)


def test_scores_of_another_shape_are_refused() -> None:
    for output, words in (({"out": Z}, r"\(2, 3, 8, 8\) \(output\['out'\]\)"), (X[:, :7], r"\(2, 7\)")):
        with pytest.raises(UsageError, match=words):
            class_scores(output, 2, 10)


class Net(nn.Module):
    """A trunk and a head; in training, or always, an auxiliary head beside it."""

    def __init__(self, gives: str = "alone") -> None:
        super().__init__()
        self.gives = gives
        self.trunk = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
        self.aux = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(10))

    def forward(self, x):
        features = self.trunk(x)
        scores = self.head(features)
        if self.gives == "alone" or (self.gives == "training" and not self.training):
            return scores
        aux = self.aux(features)
        return {"list": [scores, aux], "dict": {"aux": aux, "out": scores}}.get(self.gives, (scores, aux))


def made(gives: str) -> nn.Module:
    torch.manual_seed(0)
    net = Net("tuple")
    net(torch.zeros(2, 3, 16, 16))  # gives the lazy layer its shape
    net.gives = gives
    return net


def test_a_profile_counts_all_and_keeps_for_the_main_output() -> None:
    alone = get_model_profile(made("alone"), (1, 3, 16, 16))
    aux_macs = 8 * 8 * 8 * 4 + 4 * 8 * 8 * 10
    for gives in ("tuple", "dict", "list", "training"):
        profile = get_model_profile(made(gives), (1, 3, 16, 16))
        always = gives != "training"
        assert profile.network.macs == alone.network.macs + aux_macs * always, "it is computed at inference"
        assert profile.network.saved_activation_bytes == alone.network.saved_activation_bytes
        assert profile.output_shape == (1, 10)


def test_what_is_kept_for_the_backward_pass() -> None:
    """By hand: the trunk writes its ReLUs in place, so its input, the map after it and the pooled vector are kept."""
    x = torch.randn(1, 3, 16, 16)
    for gives in ("alone", "tuple"):
        saved = saved_for_backward(made(gives).train(), x)
        assert saved.inside == 4 * (8 * 8 * 8 + 8) and saved.input and not saved.passes_through


def test_a_network_of_several_outputs_is_timed() -> None:
    for gives in ("dict", "list"):
        assert (
            benchmark_model(made(gives), (1, 3, 16, 16), device="cpu", benchmark_runs=3, warmup_runs=1)["n"]
            == 3
        )


CODE = """
from torch import nn
class {name}(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head, self.aux = nn.Linear(4, num_classes), nn.Linear(4, num_classes)
    def forward(self, x):
        y = self.body(x)
        return {returns}
"""
SMALL = {
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 64,
    "limit_train": 128,
    "device": "cpu",
    "latency": False,
}


def own(folder: Path, name: str, returns: str) -> str:
    (folder / f"{name}.py").write_text(CODE.format(name=name, returns=returns))
    return f"{folder}/{name}.py:{name}"


def test_training_takes_the_main_output_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = {}
    for name, returns in (
        ("Alone", "self.head(y)"),
        ("Dict", "{'out': self.head(y), 'aux': self.aux(y)}"),
        ("Training", "(self.head(y), self.aux(y)) if self.training else self.head(y)"),
    ):
        with caplog.at_level(logging.WARNING):
            rows[name] = train_block(own(tmp_path, name, returns), output=tmp_path / "out", **SMALL).row
    losses = {name: row["val_loss"] for name, row in rows.items()}
    assert losses["Dict"] == losses["Training"] == losses["Alone"]
    assert "the main output is output['out']; beside it: output['aux']" in rows["Dict"]["said"]
    assert "50 parameters take no part in it and are not trained" in rows["Dict"]["said"]
    assert "output[0]; beside it: output[1]" in rows["Training"]["said"] and "output[1]" in caplog.text


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ("[self.head(y), self.aux(y)]", "nothing says which one is trained"),
        ("x", "gives shape"),
        ("{'count': 3}", "a dict without a tensor"),
        ("self.head(y).shape.numel()", "a int without a tensor"),
        ("self.head(x)", "does not take images of 3 x 32 x 32 in training"),
        ("y.nothing", "AttributeError"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is(tmp_path: Path, returns: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        train_block(own(tmp_path, "Mine", returns), output=tmp_path / "out", **SMALL)


@pytest.mark.slow
def test_networks_of_the_libraries_with_training_heads() -> None:
    profile = profile_block("torchvision:googlenet", input_shape=(1, 3, 64, 64))
    assert profile.output_shape == (1, 10)
    assert (
        profile_block("timm:deit_tiny_distilled_patch16_224", input_shape=(1, 3, 224, 224)).network.macs > 1e9
    )


def test_an_error_names_the_part_and_what_it_was_given() -> None:
    with pytest.raises(
        UsageError, match=r"GhostBottleneckV3 with in_channels 32, out_channels 32, stride 1 cannot take"
    ):
        profile_block("GhostBottleneckV3", "late", input_shape=(1, 3, 4, 4), base_channels=8)

    class Odd(nn.Module):
        def forward(self, x):
            raise KeyError("nothing here")

    with pytest.raises(UsageError, match=r"Odd cannot take an input of shape .*KeyError"):
        get_model_profile(Odd())
