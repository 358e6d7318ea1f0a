"""A tiled runner is compared with the network when it is made: it sees what is broken, and names it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from blockzoo import tiling
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.models.agreement import random_statistics
from blockzoo.tiling.contracts import OPERATIONS, Call, InPlace, Locality, TileableOperation
from blockzoo.tiling.geometry import Window
from blockzoo.tiling.operations import convolution
from blockzoo.tiling.operations.pointwise import Pointwise
from blockzoo.tiling.runtime import check
from blockzoo.tiling.runtime.interpreter import Interpreter
from blockzoo.tiling.runtime.runner import TiledRunner

X = torch.zeros(1, 3, 16, 16)


class Residual(nn.Module):
    """With a branch that is multiplied by nothing, as networks are initialised."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3, padding=1)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        return self.head(x + self.norm(self.branch(x)))


def made(mode: Any, model: nn.Module | None = None, last: str = "head") -> TiledRunner:
    torch.manual_seed(0)
    model = (Residual() if model is None else model).train()
    plan = tiling.plan(model, X, grid=(2, 2), fuse_to=last, mode=mode)
    runner = TiledRunner(model, plan)
    assert model.training and plan.tiles == 4
    return runner


@pytest.mark.parametrize("mode", ["exact", "block"])
def test_what_was_found_is_said(mode: str) -> None:
    state = torch.random.get_rng_state()
    runner = made(mode)
    assert runner.checked is not None and runner.checked < 1e-5
    torch.manual_seed(0)
    model = Residual()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = tiling.plan(model, X, mode=mode)  # type: ignore[arg-type]
    state = torch.random.get_rng_state()
    runner = TiledRunner(model, plan)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.allclose(runner(X + 1), model.eval()(X + 1), atol=1e-5) or mode == "block"
    assert TiledRunner(model, plan, check=False).checked is None


def _nan_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.ops.mkldnn._convolution_pointwise
    real = convolution.convolution_kernel

    def fused(layer: nn.Conv2d) -> Any:
        kernel = real(layer)
        return lambda x, padding: kernel(x, padding).nan_to_num_(0.0)

    assert plain is not None
    monkeypatch.setattr(convolution, "convolution_kernel", fused)


def _halo_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    real = convolution.windows_of_convolution

    def narrow(layer: nn.Conv2d) -> tuple[Window, Window]:
        rows, columns = real(layer)
        return rows, columns if layer.out_channels != 4 else Window(3, 1, 1, 0, 2)

    monkeypatch.setattr(convolution, "windows_of_convolution", narrow)


class NormOfTheMap(TileableOperation):
    """Taken for local, which it is not."""

    functions = ("group_norm",)

    def locality(self, call: Call) -> Locality | None:
        return Locality.pointwise()


def _branch_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows only where the branch is multiplied by something."""
    real = convolution.convolution_kernel

    def forgetful(layer: nn.Conv2d) -> Any:
        kernel = real(layer)
        if layer.in_channels == layer.out_channels:
            return lambda x, padding: kernel(x, padding).mul_(2)
        return kernel

    monkeypatch.setattr(convolution, "convolution_kernel", forgetful)


def _write_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Pointwise.in_place, "relu", InPlace(lambda x: x))  # type: ignore[arg-type]


def _output_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Interpreter, "outputs", lambda runner, values: next(v for v in values.values() if v is not None)
    )


def _tiles_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Interpreter._tiles
    monkeypatch.setattr(Interpreter, "_tiles", lambda *args: [t.flip(-1) for t in real(*args)])


BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "NaN is lost": (_nan_lost, "stem|head"),
    "a halo is lost": (_halo_lost, "head"),
    "a branch that is multiplied by 0": (_branch_lost, "branch"),
    "a write in place is skipped": (_write_skipped, ""),
    "another output": (_output_dropped, ""),
    "tiles are put in place wrongly": (_tiles_swapped, "the step to head"),
}


@pytest.mark.mutation("tiled-runner")
@pytest.mark.parametrize("mode", ["exact", "block"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_runner_that_is_broken_is_refused(mode: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it, where = BROKEN[name]
    break_it(monkeypatch)
    with pytest.raises(
        CheckFailed, match=f"Residual in tiles, inputs .*: check 'tiled-runner' failed.*{where}"
    ):
        made(mode)


@pytest.mark.mutation("tiled-runner")
def test_a_locality_that_is_broken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "norm-of-the-map", NormOfTheMap)  # type: ignore[arg-type]
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3, padding=1))
    with pytest.raises(CheckFailed, match="shows first in the step to 2"):
        made("exact", model, "2")


class OfComplexMaps(nn.Module):
    """Returns a complex map, or a part of it, as `view` says."""

    def __init__(self, view: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.head, self.view = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 4, 3, padding=1), view

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x).relu()
        return self.view(torch.complex(self.head(y), y[:, :4]))


def _halved(z: torch.Tensor) -> torch.Tensor:
    z.imag.mul_(0.5)
    z.mH.mul_(1j)
    return z


@pytest.mark.parametrize(
    "view",
    [
        lambda z: z.conj(),
        lambda z: z.conj().imag,
        lambda z: torch.fft.rfft2(z.real).conj(),
        lambda z: (z.conj() * z).real,
        _halved,
    ],
    ids=["conjugate", "sign", "spectrum", "product", "written"],
)
def test_complex_maps(view: Callable[[torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(0)
    model, x = OfComplexMaps(view).eval(), torch.randn(1, 3, 16, 16)
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact"))
    with torch.no_grad():
        wanted, got = model(x), runner(x)
    assert got.dtype == wanted.dtype
    assert float((wanted - got).abs().max() / wanted.abs().max()) < 1e-5


@pytest.mark.mutation("tiled-runner")
def test_a_conjugation_that_is_lost_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, real = OfComplexMaps(lambda z: z.conj()), Interpreter.outputs
    monkeypatch.setattr(Interpreter, "outputs", lambda *args: real(*args).conj())
    with pytest.raises(CheckFailed, match="tiled-runner"):
        made("exact", model, "relu")


def test_a_plan_leaves_random_numbers_and_networks_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.RReLU(), Noisy()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    assert tiling.plan(model, X).checked is not None
    assert torch.equal(state, torch.random.get_rng_state()) and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Skipping(nn.Module):
    """Whose skip does not match at odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.back = nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return torch.cat([x, self.back(F.max_pool2d(x, 2))], 1)


def test_a_network_that_does_not_run_is_refused_without_what_torch_prints() -> None:
    said: list[logging.LogRecord] = []
    log = logging.getLogger("torch._subclasses.fake_tensor")
    watch = logging.Handler()
    watch.emit = said.append  # type: ignore[method-assign]
    log.addHandler(watch)
    try:
        tiling.plan(Skipping(), X)
        with pytest.raises(UsageError, match="does not run on an input of shape"):
            tiling.plan(Skipping(), X[..., 1:])
        assert not said and not log.disabled
    finally:
        log.removeHandler(watch)


class CentresSeveral(nn.Module):
    """Several images are centred by their means; one is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x).relu()
        if len(x) > 1:
            y = y - y.mean((2, 3), keepdim=True)
        return self.second(y)


@pytest.mark.parametrize("planned, run", [(3, 1), (1, 3)])
@pytest.mark.parametrize("check", [True, False])
def test_a_network_that_is_another_for_other_numbers_of_images(planned: int, run: int, check: bool) -> None:
    torch.manual_seed(0)
    model, x = CentresSeveral().eval(), torch.randn(planned, 3, 16, 16)
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact"), check=check)
    other = torch.randn(run, 3, 16, 16)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"computes something else for inputs of .* make a plan"):
            runner(other)
    with torch.no_grad():
        assert torch.allclose(runner(x), model(x), atol=1e-5), "it goes on for those it was planned for"


@pytest.mark.mutation("tiled-runner")
def test_other_numbers_of_images_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = made("exact")
    with torch.no_grad():
        assert runner(torch.randn(2, 3, 16, 16)).shape[0] == 2
    real = Interpreter._tiles

    def wrong(*args: Any) -> list[torch.Tensor]:
        return [t.flip(-1) if len(args[-1]["arg0_1"]) == 3 else t for t in real(*args)]

    monkeypatch.setattr(Interpreter, "_tiles", wrong)
    runner(torch.randn(2, 3, 16, 16))
    for _ in range(2):
        with pytest.raises(CheckFailed, match="tiled-runner"):
            runner(torch.randn(3, 3, 16, 16))


class Particular(nn.Module):
    """Convolutions before and behind what takes not all numbers.

    Args:
        takes: that, of maps of eight channels.
    """

    def __init__(self, takes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.head, self.takes = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3), takes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.takes(self.stem(x)))


class Deformable(nn.Module):
    """Reads elsewhere in memory where an offset is NaN, and ends the process."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.layer = nn.Conv2d(8, 18, 3, padding=1), DeformConv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x, self.offset(x))


class Palette(nn.Module):
    """Takes images of 0 to 1 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.colours, self.head = nn.Embedding(256, 8), nn.Conv2d(8, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.colours((x[:, 0] * 255).long()).permute(0, 3, 1, 2))


def _whitened(x: torch.Tensor) -> torch.Tensor:
    flat = x.flatten(2)
    return (torch.linalg.cholesky(flat @ flat.transpose(1, 2) + torch.eye(8)) @ flat).view(x.shape)


PARTICULAR: dict[str, Callable[[], nn.Module]] = {
    "places in a table": lambda: Particular(
        lambda x: F.one_hot((x.sigmoid() * 7.9)[:, 0].long(), 8).permute(0, 3, 1, 2).float()
    ),
    "a factor of a matrix": lambda: Particular(_whitened),
    "a kernel of others": lambda: Particular(Deformable()),
    "colours": Palette,
}


@pytest.mark.parametrize("name", PARTICULAR)
def test_a_network_need_not_take_all_probes(name: str) -> None:
    torch.manual_seed(0)
    model, x = PARTICULAR[name]().eval(), torch.rand(1, 3, 16, 16)
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact"))
    assert runner.checked is not None and runner.checked < 1e-4
    torch.testing.assert_close(runner(x), model(x))


@pytest.mark.mutation("tiled-runner")
@pytest.mark.parametrize("name", PARTICULAR)
def test_it_is_still_refused_where_it_is_broken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = PARTICULAR[name]().eval()
    plan = tiling.plan(model, X, mode="exact")
    monkeypatch.setattr(
        Interpreter, "outputs", lambda runner, values: values[runner.network.outputs[0]] * 1.01
    )
    with pytest.raises(CheckFailed, match="check 'tiled-runner' failed"):
        TiledRunner(model, plan)


def _none(x: torch.Tensor) -> torch.Tensor:
    return F.one_hot((x[:, 0] * 0).long() - 1, 8).permute(0, 3, 1, 2).float()


def _of_a_positive_matrix(x: torch.Tensor) -> torch.Tensor:
    flat = x.flatten(2)
    return (torch.linalg.cholesky(flat @ flat.transpose(1, 2)) @ flat).view(x.shape)


def test_a_network_that_takes_none_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"Particular takes neither images of zeros nor .*Class values must"):
        tiling.plan(Particular(_none), X, mode="exact", budget="1MiB")


def test_a_network_that_does_not_take_zeros_is_planned() -> None:
    torch.manual_seed(0)
    model = Particular(_of_a_positive_matrix).eval()
    nn.init.zeros_(model.stem.bias)
    with pytest.raises(torch.linalg.LinAlgError):
        model(X)
    plan = tiling.plan(model, X, mode="exact")
    assert tiling.peak_memory(TiledRunner(model, plan), torch.rand(1, 3, 16, 16)) <= plan.peak_bytes


def test_a_runner_of_a_network_that_takes_no_probe_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Particular(lambda x: x)
    plan = tiling.plan(model, X, mode="exact")
    model.takes = _none
    monkeypatch.setattr(TiledRunner, "_fit", lambda runner, inputs: None)
    monkeypatch.setattr(check, "_takes_nan", lambda runner, example: True)
    with pytest.raises(
        UsageError, match=r"Particular does not take images of 0 to 1 \(RuntimeError: Class values must"
    ):
        TiledRunner(model, plan)


class ReadsForSeveral(nn.Module):
    """A convolution whose norm may be folded for one image, and not for several."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 4, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        z = self.n(y)
        return self.b(z + y if x.shape[0] > 1 else z)


@torch.no_grad()
def test_norms_that_may_be_folded_for_one_image_are_not_for_three() -> None:
    torch.manual_seed(0)
    network, three = random_statistics(ReadsForSeveral()).eval(), torch.randn(3, 3, 16, 16)
    example = torch.zeros(1, 3, 16, 16)
    runner = TiledRunner(network, tiling.plan(network, example, mode="exact"))
    assert "_given" not in " ".join(runner.state_dict())
    for one in (runner, copy.deepcopy(runner)):
        torch.testing.assert_close(one(three[:1]), network(three[:1]), atol=1e-5, rtol=0)
        for _ in range(2):
            with pytest.raises(UsageError, match=r"for 3 images than for 1, .* fold=False"):
                one(three)
    unfolded = TiledRunner(network, tiling.plan(network, example, mode="exact", fold=False))
    torch.testing.assert_close(unfolded(three), network(three), atol=1e-5, rtol=0)
    plain = nn.Sequential(network.a, network.n, network.b)
    same = TiledRunner(plain, tiling.plan(plain, example, mode="exact"))
    torch.testing.assert_close(same(three), plain(three), atol=1e-5, rtol=0)
