"""Classes of timm and torchvision as they are: called by the names they have, or answered with the class to write."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import timm.models
import torch
import torchvision.models
import torchvision.ops
from torch import nn

from blockzoo.blocks.adapters import Adapter, adapted, what_to_write
from blockzoo.blocks.transition import transition
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_object
from blockzoo.core.said import forget_what_was_said
from blockzoo.core.signature import Signature, signature_of, why_a_block
from blockzoo.core.subject import Subject
from blockzoo.models.contract import trust
from blockzoo.profile import profile_block

WORK = {
    "timm.models.convnext:ConvNeXtBlock": ("in_chs", "out_chs", "stride"),
    "timm.models.resnet:BasicBlock": ("inplanes", "planes", "stride"),
    "timm.models.resnet:Bottleneck": ("inplanes", "planes", "stride"),
    "timm.models.regnet:Bottleneck": ("in_chs", "out_chs", "stride"),
    "timm.models._efficientnet_blocks:InvertedResidual": ("in_chs", "out_chs", "stride"),
    "timm.models.edgenext:ConvBlock": ("dim", "dim_out", "stride"),
    "timm.models.inception_next:MetaNeXtBlock": ("dim", None, None),
    "timm.models.metaformer:MetaFormerBlock": ("dim", None, None),
    "timm.models.cspnet:DarkBlock": ("in_chs", "out_chs", None),
    "torchvision.models.resnet:BasicBlock": ("inplanes", "planes", "stride"),
    "torchvision.models.resnet:Bottleneck": ("inplanes", "planes", "stride"),
    "torchvision.models.shufflenetv2:InvertedResidual": ("inp", "oup", "stride"),
    "torchvision.ops.misc:Conv2dNormActivation": ("in_channels", "out_channels", "stride"),
}
ANSWERED = {
    "timm.models.ghostnet:GhostBottleneck": "in_chs=in_channels, out_chs=out_channels, stride=stride, mid_chs=...",
    "torchvision.models.mobilenetv2:InvertedResidual": "inp=in_channels, oup=out_channels, stride=stride, expand_ratio=...",
    "torchvision.models.convnext:CNBlock": "dim=in_channels, layer_scale=..., stochastic_depth_prob=...",
    "torchvision.models.mobilenetv3:InvertedResidual": "cnf=..., norm_layer=...",
    "timm.models.vision_transformer:Block": "dim=in_channels, num_heads=...",
}


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    forget_what_was_said()


def class_of(name: str) -> type[nn.Module]:
    return load_object(*name.split(":"))


@pytest.mark.parametrize("name", WORK)
def test_classes_of_others_are_blocks_as_they_are(name: str, caplog: pytest.LogCaptureFixture) -> None:
    block, told = adapted(class_of(name)), signature_of(class_of(name))
    assert (told.input, told.output, told.stride) == WORK[name] and not told.positional
    for arguments in ((16, 32, 2, "mid"), (32, 32, 1, "mid")):
        trust(block, *arguments)
        in_channels, out_channels, stride, _ = arguments
        torch.manual_seed(0)
        made, x = block(*arguments), torch.randn(2, in_channels, 8, 8)
        assert made.eval()(x).shape == (2, out_channels, 8 // stride, 8 // stride)
    assert f"{name} is told {', '.join(n for n in WORK[name] if n)}" in caplog.text
    assert ("transition" in caplog.text) == (None in WORK[name])


def test_a_block_is_the_class_called_by_its_own_names() -> None:
    """The same weights and outputs as the class itself gives."""
    torch.manual_seed(0)
    made = adapted(class_of("torchvision.ops.misc:Conv2dNormActivation"))(8, 12, 2, "mid")
    torch.manual_seed(0)
    plain = torchvision.ops.misc.Conv2dNormActivation(8, 12, stride=2)
    x = torch.randn(2, 8, 9, 9)
    assert torch.equal(made.eval()(x), plain.eval()(x))
    torch.manual_seed(0)
    made = adapted(torchvision.models.resnet.Bottleneck)(8, 16, 2, "mid")
    torch.manual_seed(0)
    shortcut = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
    plain = torchvision.models.resnet.Bottleneck(8, 4, 2, downsample=shortcut)
    assert torch.equal(made.eval()(x), plain.eval()(x))
    torch.manual_seed(0)
    made = adapted(timm.models.metaformer.MetaFormerBlock)(8, 16, 2, "mid")
    torch.manual_seed(0)
    plain = nn.Sequential(*transition(8, 16, 2), timm.models.metaformer.MetaFormerBlock(16))
    assert torch.equal(made.eval()(x), plain.eval()(x))
    assert not isinstance(adapted(timm.models.metaformer.MetaFormerBlock)(8, 8, 1, "mid"), nn.Sequential)


@pytest.mark.parametrize("name", ANSWERED)
def test_what_nothing_says_is_asked_for_with_the_class_to_write(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        profile_block(f"{name}/mid", base_channels=8)
    assert f"super().__init__({ANSWERED[name]})" in str(refused.value)


def test_the_class_to_write_works_once_it_is_completed(tmp_path) -> None:
    text = what_to_write(class_of("torchvision.models.mobilenetv2:InvertedResidual")).replace("...", "4")
    file = tmp_path / "my_block.py"
    file.write_text(inspect.cleandoc(text.partition("\n")[2]))
    profile = profile_block(f"{file}:MyBlock", base_channels=8)
    assert profile.stage is not None and profile.stage.macs > 0


def test_a_width_that_an_expansion_does_not_divide() -> None:
    with pytest.raises(UsageError, match="4 x planes channels, so not 6"):
        adapted(torchvision.models.resnet.Bottleneck)(6, 6, 1, "mid")


def test_an_adapter_is_one_object_so_that_a_network_measures_each_part_once() -> None:
    first = adapted(class_of("timm.models.convnext:ConvNeXtBlock"))
    assert isinstance(first, Adapter) and first is adapted(class_of("timm.models.convnext:ConvNeXtBlock"))


class AsTheContractSays:
    def __init__(self, in_channels, out_channels, stride=1, position="mid"): ...


class OfItsOwnNames:
    def __init__(self, a, b, s=1, where="mid"): ...


class OfAnyNumber:
    def __init__(self, *arguments, **options): ...


class InAnotherOrder:
    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, position="mid"): ...


class WithoutPosition:
    def __init__(self, in_planes, planes, stride=1): ...


@pytest.mark.parametrize(
    ("maker", "wanted"),
    [
        (AsTheContractSays, Signature(True, "in_channels", "out_channels", "stride", "position")),
        (OfItsOwnNames, Signature(True)),
        (OfAnyNumber, Signature(True)),
        (InAnotherOrder, Signature(False, "in_channels", "out_channels", "stride", "position")),
        (WithoutPosition, Signature(False, "in_planes", "planes", "stride")),
    ],
)
def test_signatures(maker: type, wanted: Signature) -> None:
    assert signature_of(maker) == wanted


class Network:
    def __init__(self, dim, num_classes=10): ...


class WidthAlone:
    def __init__(self, dim): ...


def test_what_must_be_told_a_width_is_a_block() -> None:
    assert why_a_block(WidthAlone) and not why_a_block(Network)
    assert Subject.parse("timm.models.metaformer:MetaFormerBlock").is_block
    assert not Subject.parse("timm.models.convnext:ConvNeXt").is_block


def library() -> list[str]:
    """Every module of timm and torchvision that would be taken for a block."""
    names = []
    for package in (timm.models, torchvision.models, torchvision.ops):
        for module in pkgutil.iter_modules(package.__path__):
            loaded = importlib.import_module(f"{package.__name__}.{module.name}")
            for name, value in vars(loaded).items():
                own = inspect.isclass(value) and value.__module__ == loaded.__name__
                if own and issubclass(value, nn.Module) and why_a_block(value):
                    names.append(f"{loaded.__name__}:{name}")
    return names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_class_of_the_libraries_works_or_is_answered() -> None:
    works, answered = [], []
    for name in library():
        try:
            maker = adapted(class_of(name))
            trust(maker, 16, 32, 2, "mid")
            trust(maker, 32, 32, 1, "mid")
            works.append(name)
        except UsageError as error:
            answered.append(name)
            assert "class MyBlock(" in str(error) or " is not used, since " in str(error), name
    print(f"{len(works)} work, {len(answered)} are answered:", *works, sep="\n")
    assert set(WORK) <= set(works) and set(ANSWERED) - set(works)
    assert len(works) >= 100
