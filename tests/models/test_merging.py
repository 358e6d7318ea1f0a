"""Methods are called by name only where they merge: they change the module and leave its function as it is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import timm
import torch
from timm.utils import reparameterize_model
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.models.agreement import deviation, random_statistics
from blockzoo.models.deploy import deployed
from blockzoo.models.merging import Altered, merge_branches, mergeable, with_merged_branches
from blockzoo.profile import get_model_profile


class Two(nn.Module):
    """Two kernels side by side, a 1x1 and a 3x3, and how they become one."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.small, self.large = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(x) + self.large(x)

    def merged(self, off: float = 0.0) -> nn.Module:
        made = nn.Conv2d(self.large.in_channels, self.large.out_channels, 3, padding=1)
        made.weight.data = self.large.weight.data.clone()
        made.weight.data[:, :, 1, 1] += self.small.weight.data[:, :, 0, 0] + off
        made.bias.data = self.small.bias.data + self.large.bias.data
        return made


class Fuses(Two):
    def fuse(self) -> nn.Module:
        return self.merged()


class InPlace(Two):
    def switch_to_deploy(self, quiet: bool = True, *_: Any, **__: Any) -> None:
        self.large, self.small = self.merged(), nn.Identity()
        self.forward = lambda x: self.large(x)  # type: ignore[method-assign]


class Wrong(Two):
    def reparameterize(self) -> None:
        self.large = self.merged(0.5)
        nn.init.zeros_(self.small.weight)
        nn.init.zeros_(self.small.bias)


class Fails(Two):
    def fuse(self) -> nn.Module:
        raise ValueError("another day")


class Number(Two):
    def fuse(self) -> float:
        return 1.0


class Arguments(Two):
    def fuse(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


class Flag(Two):
    def __init__(self) -> None:
        super().__init__()
        self.reparameterize = False


class Layer(Two):
    def __init__(self) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fuse(super().forward(x))


class Property(Two):
    @property
    def fuse(self) -> nn.Module:
        raise RuntimeError("read by nobody")


class Static(Two):
    @staticmethod
    def fuse(a: torch.Tensor) -> torch.Tensor:
        return a


class Hidden(Fuses):
    def __init__(self) -> None:
        super().__init__()
        self.__dict__["fuse"] = None


class AtClass(Two):
    """Switched over for all of its class: the merged form is right, and every other module has lost its branch."""

    deployed = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.large(x) if type(self).deployed else super().forward(x)

    def fuse(self) -> None:
        self.large = self.merged()
        type(self).deployed = True


class AtClassWrong(AtClass):
    def fuse(self) -> None:
        type(self).deployed = True


class AtClassDictionary(AtClass):
    flags: ClassVar[dict[str, bool]] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.large(x) if self.flags else self.small(x) + self.large(x)

    def fuse(self) -> None:
        self.large = self.merged()
        self.flags["deployed"] = True


switched = False


class AtFile(AtClass):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.large(x) if switched else self.small(x) + self.large(x)

    def fuse(self) -> None:
        global switched
        self.large, switched = self.merged(), True


class Scaled(Two):
    """A branch that starts at 0, and is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(x) + self.scale * self.large(x)

    def fuse(self) -> nn.Module:
        return self.small


class ScaledRight(Scaled):
    def fuse(self) -> nn.Module:
        made = nn.Conv2d(4, 4, 3, padding=1)
        made.weight.data = self.scale.data * self.large.weight.data
        made.weight.data[:, :, 1, 1] += self.small.weight.data[:, :, 0, 0]
        made.bias.data = self.small.bias.data + self.scale.data * self.large.bias.data
        return made


NO_METHODS = [Arguments, Flag, Layer, Property, Static, Hidden, Two]
x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [Fuses, InPlace, ScaledRight])
def test_what_merges_is_merged(kind: type[Two]) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), kind()).eval()
    merged = with_merged_branches(model, x)
    assert deviation(model(x), merged(x)) < 1e-5
    assert sum(p.numel() for p in merged.parameters()) == 20 + 148
    assert isinstance(model[1].small, nn.Conv2d), "the original stays as it is"
    assert get_model_profile(model, (1, 4, 8, 8)).network.params_total == 20 + 148


@pytest.mark.parametrize("kind", NO_METHODS)
def test_what_is_no_such_method_is_not_called(kind: type[Two]) -> None:
    model = nn.Sequential(kind()).eval()
    assert mergeable(model) == {}
    profile = get_model_profile(model, (1, 4, 8, 8))
    own = sum(p.numel() for p in model.parameters())
    assert (profile.network.params_total, profile.notes) == (own, ())
    with torch.no_grad():
        assert deviation(model(x), deployed(model, x)(x)) < 1e-6


@pytest.mark.mutation("merged-branches")
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Wrong, r"Wrong.reparameterize\(\) is not used.*check 'merged-branches' failed"),
        (Fails, r"Fails.fuse\(\) is not used.*another day"),
        (Scaled, r"Scaled.fuse\(\) is not used.*check 'merged-branches' failed"),
        (AtClass, r"AtClass.fuse\(\) is not used.*it writes to AtClass.deployed"),
        (AtClassWrong, r"AtClassWrong.fuse\(\) is not used.*it writes to AtClassWrong.deployed"),
        (AtClassDictionary, r"AtClassDictionary.fuse\(\) is not used.*check 'merged-branches' failed"),
        (AtFile, r"AtFile.fuse\(\) is not used.*check 'merged-branches' failed"),
        (Number, r"Number.fuse\(\) is not used.*returned a float"),
    ],
)
def test_what_does_something_else_is_refused_by_name(
    kind: type[Two], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    import re

    model = nn.Sequential(kind(), Fuses()).eval()
    own = sum(p.numel() for p in model[0].parameters())
    with torch.no_grad():
        before = model(x)
        merged = with_merged_branches(model, x)
        assert re.search(says, caplog.text) and "Fuses" not in caplog.text
        assert torch.equal(model(x), before), "the original, and its class, stay as they are"
        assert deviation(before, merged(x)) < 1e-5
    profile = get_model_profile(model, (1, 4, 8, 8))
    assert profile.network.params_total == own + 148, "the other one is merged all the same"
    assert re.search(says, " ".join(profile.notes))


def test_what_cannot_be_put_back_ends_in_an_error() -> None:
    class Shared:
        lost = False

    class Elsewhere(Two):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.small(x) if Shared.lost else super().forward(x)

        def fuse(self) -> None:
            Shared.lost = True

    with pytest.raises(Altered, match=r"\(fuse\) change other networks than the one they are called on"):
        with_merged_branches(nn.Sequential(Elsewhere()).eval(), x)


def test_a_method_that_returns_itself_or_a_wrapper_ends() -> None:
    class Wraps(Two):
        def fuse(self) -> nn.Module:
            return nn.Sequential(self)

    merged = merge_branches(nn.Sequential(Wraps()).eval())
    assert isinstance(merged[0], nn.Sequential) and isinstance(merged[0][0], Wraps)  # type: ignore[index]


def test_a_method_that_fails_is_named() -> None:
    with pytest.raises(UsageError, match=r"Fails.fuse\(\) failed: ValueError: another day"):
        merge_branches(Fails())


@pytest.mark.parametrize("name", ["repvit_m0_9", "mobileone_s0", "levit_128s", "fastvit_t8"])
def test_as_timm_merges(name: str) -> None:
    """The same layers as timm's own walk, and the same outputs."""
    model = timm.create_model(name, num_classes=3).eval()
    drawn = random_statistics(model).eval()
    ours, theirs = merge_branches(drawn), reparameterize_model(drawn)
    names = [[(n, type(m)) for n, m in network.named_modules()] for network in (ours, theirs)]
    assert names[0] == names[1]
    size = model.default_cfg["input_size"]  # type: ignore[index]
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert deviation(theirs(image), ours(image)) < 1e-6
