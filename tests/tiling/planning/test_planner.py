"""Plans against figures counted by hand, predictions against what is tracked, the search against all ways there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from blockzoo import tiling
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.measure.memory import peak_memory
from blockzoo.models.mobilenet import MobileNetV1
from blockzoo.tiling.graph.trace import ready, traced
from blockzoo.tiling.planning import planner, search
from blockzoo.tiling.planning.memory import Memory
from blockzoo.tiling.planning.plan import program, tiled_steps, whole_steps
from blockzoo.tiling.planning.prediction import cost, stage_bytes, tile_bytes
from blockzoo.tiling.planning.proof import proved
from blockzoo.tiling.planning.tile_memory import Counted
from blockzoo.tiling.runtime.runner import TiledRunner
from tests.sampled import sampled

IMAGE = torch.zeros(1, 3, 224, 224)
MIB = 2**20


def network(name: str) -> nn.Module:
    if name.startswith("timm:"):
        return timm.create_model(name.removeprefix("timm:")).eval()  # type: ignore[no-any-return]
    return torchvision.models.get_model(name, weights=None).eval()  # type: ignore[no-any-return]


@pytest.mark.slow
def test_layer_by_layer_peaks_of_int8_networks() -> None:
    v2 = network("mobilenet_v2")
    fused = {"grid": (2, 2), "fuse_to": "features.6", "dtype": "int8"}
    assert (
        tiling.plan(v2, IMAGE, **fused).layer_by_layer.peak_bytes
        == 1_505_280
        == 112 * 112 * 96 + 56 * 56 * 96
    )  # type: ignore[arg-type]
    assert tiling.plan(v2, IMAGE, **fused, in_place_depthwise=True).layer_by_layer.peak_bytes == 1_404_928  # type: ignore[arg-type]
    v1 = tiling.plan(MobileNetV1().eval(), IMAGE, grid=(2, 2), fuse_to="blocks.4", dtype="int8")
    assert v1.layer_by_layer.peak_bytes == 1_204_224


@pytest.mark.parametrize(
    "name, grid, to, mode, most, most_macs",
    sampled(
        [
            ("mobilenet_v2", 4, "features.6", "block", 0.95, 1.0),
            ("vgg16", 8, "features.23", "block", 0.9, 1.0),
            ("resnet18", 4, "layer1", "exact", 1.6, 1.17),
            ("resnet18", 4, "layer2", "block", 0.77, 1.0),
        ],
        0,
        unpacked=True,
    ),
)
def test_figures_at_224(name: str, grid: int, to: str, mode: str, most: float, most_macs: float) -> None:
    plan = tiling.plan(network(name), IMAGE, grid=grid, fuse_to=to, mode=mode)  # type: ignore[arg-type]
    assert plan.cost.steps[0] <= most * MIB
    assert plan.macs <= most_macs * plan.layer_by_layer.macs


TRACKED = (
    "resnet18 mobilenet_v3_small googlenet shufflenet_v2_x0_5 convnext_tiny timm:ghostnet_100 timm:rexnet_100 "
    "resnet50 vgg11 mobilenet_v2 efficientnet_b0 regnet_y_400mf mnasnet0_5 squeezenet1_1 alexnet timm:vgg11 "
    "timm:regnetx_002 timm:dla34 timm:resnet10t timm:resnetv2_50 timm:tf_efficientnet_lite0 "
    "timm:mobilenetv4_conv_small"
).split()


@pytest.mark.parametrize("name", sampled(TRACKED, 0))
@torch.no_grad()
def test_predicted_is_tracked(name: str) -> None:
    """In both modes, one tile and three at a time, and layer by layer: within 1 %, and the exact result is the network's."""
    model, x = network(name), torch.randn(1, 3, 96, 96)
    traces = traced(ready(model, x, True), x)
    made = search.Planner(traces, "exact", "fp32", True, Counted())
    ends = [
        i
        for i in traces.boundaries[1:]
        if search.cannot_tile(traces, -1, i) == "" and traces.operations[i].axes
    ]
    means = [sum(o.kind == "pool" for o in traces.operations[:i]) for i in ends]
    stop = [
        i for i, passes in zip(ends, means, strict=True) if traces.operations[i].size(0) >= 12 and passes < 3
    ][-1]
    plans = [made.made(whole_steps(traces))]
    for batch, made.mode in itertools.product((1, 3), ("exact", "block")):
        plans.append(made.made([*tiled_steps(traces, -1, stop, (3, 2), batch), *whole_steps(traces, stop)]))
    wanted = model(x)
    runner = TiledRunner(model, plans[0])
    for plan in plans:
        runner.parts = program(runner.network, plan.steps, plan.mode)
        assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)
        if plan.mode == "exact":
            assert (runner(x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


class Chain(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip


def test_the_search_finds_what_trying_all_ways_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = ((1, 1), (2, 2), (4, 4))
    monkeypatch.setattr(search, "GRIDS", grids)
    x = torch.zeros(1, 3, 32, 32)
    traces = traced(ready(Chain().eval(), x, True), x)
    made = search.Planner(traces, "exact", "fp32", True, Counted())
    states = made._states
    assert len(states) > 3
    costs = set()
    for count in range(len(states) - 1):
        for inner in itertools.combinations(states[1:-1], count):
            places = [-1, *inner, states[-1]]
            choices = []
            for start, stop in itertools.pairwise(places):
                whole = (
                    [whole_steps(traces, start, stop)]
                    if states.index(stop) == states.index(start) + 1
                    else []
                )
                choices.append([*whole, *(tiled_steps(traces, start, stop, grid) for grid in grids[1:])])
            for ways in itertools.product(*choices):
                cost = made.cost([step for way in ways for step in way])
                costs.add((cost.peak_bytes, cost.macs, cost.tiles))
    front = {
        a for a in costs if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in costs)
    }
    assert {(plan.peak_bytes, plan.macs, plan.tiles) for plan in made.front()} == front
    best = min(a for a in costs if a[1] <= 1.2 * made.layer_by_layer.macs)
    assert made.least_memory().peak_bytes == best[0] < made.layer_by_layer.peak_bytes
    for limit in sorted({a[0] for a in costs}):
        fewest = min((a[1], a[2]) for a in costs if a[0] <= limit)
        plan = made.within(limit)
        assert plan.peak_bytes <= limit and (plan.macs, plan.tiles) == fewest


class Gated(nn.Module):
    """A gate from a map that a stage may start with, and one from the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.gate, self.of_image = nn.Conv2d(8, 8, 1), nn.Conv2d(3, 8, 1)
        self.last = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        return self.last(y) * torch.sigmoid(self.of_image(x.mean((2, 3), keepdim=True)))


@pytest.mark.parametrize("mode", sampled(["block", "exact"], 0))
@torch.no_grad()
def test_a_gate_at_the_start_of_a_segment(mode: str) -> None:
    torch.manual_seed(0)
    model, x = Gated().eval(), torch.randn(1, 3, 64, 64)
    for plan in tiling.pareto(model, x, mode=mode):  # type: ignore[arg-type]
        runner = TiledRunner(model, plan)
        if mode == "exact":
            assert (runner(x) - model(x)).abs().max() < 1e-5
        assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)
    stages = [step for plan in tiling.pareto(model, x, mode=mode) for step in plan.steps]  # type: ignore[arg-type]
    assert any(step.kind == "tiled" for step in stages)


class GateOfAGate(nn.Module):
    """The mean of a map that was enlarged from one pixel: nothing lies between the two that could be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(F.adaptive_avg_pool2d(self.first(x), 1), size=x.shape[-2:], mode="bilinear")
        return self.last(torch.cat([y, F.interpolate(y.mean((2, 3), keepdim=True), size=x.shape[-2:])], 1))


@pytest.mark.parametrize("mode", sampled(["block", "exact"], 1))
@torch.no_grad()
def test_the_mean_of_what_no_tile_made(mode: Any) -> None:
    torch.manual_seed(0)
    model, x = GateOfAGate().eval(), torch.randn(1, 3, 32, 24)
    for plan in tiling.pareto(model, x, mode=mode):
        runner = TiledRunner(model, plan)
        assert tiling.peak_memory(runner, x) == pytest.approx(plan.peak_bytes, rel=0.01)
        assert mode == "block" or (runner(x) - model(x)).abs().max() < 1e-5


class Branched(nn.Module):
    """As RepVGG trains: two kernels, merged by `reparameterize`; wrongly where asked for."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.three, self.one, self.wrong = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1), wrong
        self.merged: nn.Module | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(x) + self.one(x) if self.merged is None else self.merged(x)

    def reparameterize(self) -> None:
        self.merged = nn.Conv2d(4, 4, 3, padding=1)
        kernel = self.three.weight + nn.functional.pad(self.one.weight, (1, 1, 1, 1))
        self.merged.weight = nn.Parameter(kernel.detach() + self.wrong)
        self.merged.bias = nn.Parameter((self.three.bias + self.one.bias).detach())


@pytest.mark.mutation("merged-branches")
def test_branches_are_merged_before_planning_or_left(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 16, 16)
    right, wrong = (nn.Sequential(nn.Conv2d(3, 4, 1), Branched(off)).eval() for off in (0.0, 0.1))
    assert len(traced(ready(right, x, True), x).operations) == 2
    assert "merged-branches" not in caplog.text
    assert len(traced(ready(wrong, x, True), x).operations) == 4
    assert "check 'merged-branches' failed" in caplog.text
    with torch.no_grad():
        assert (TiledRunner(right, tiling.plan(right, x, mode="exact"))(x) - right(x)).abs().max() < 1e-5


def test_branches_that_subtract_infinities_are_merged() -> None:
    """Infinity times a weight less infinity times another is NaN; with the weights merged it is infinity."""
    model, x = nn.Sequential(nn.Conv2d(3, 4, 1), Branched()).eval(), torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        model[1].one.weight.copy_(-0.5 * model[1].three.weight[:, :, 1:2, 1:2])  # type: ignore[union-attr, operator]
    runner = TiledRunner(model, tiling.plan(model, x, mode="exact"))
    with torch.no_grad():
        assert (runner(x) - model(x)).abs().max() < 1e-5
        assert runner(torch.where(x > 2, torch.nan, x)).isnan().any()


@pytest.mark.mutation("planned-memory")
def test_a_peak_that_is_more_than_planned_is_refused_wherever_it_is_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, x = Gated().eval(), torch.zeros(1, 3, 32, 32)
    plan = tiling.plan(model, x, mode="exact")
    assert plan.checked is not None and plan.checked <= 0.01
    proven = proved(model, plan)
    assert proven.agreement is not None and proven.agreement < 1e-5 and "checked: memory" in str(proven)
    assert tiling.plan(model, x, dtype="int8").checked is None
    assert tiling.plan(model, x, dtype="fp16").checked == 0, "predicted and run in its own format"
    weightless = tiling.plan(Gated().to("meta").eval(), x.to("meta"), mode="exact")
    assert weightless.checked is None and weightless.macs == plan.macs, "nothing there that could be run"

    measure = Memory.of
    norm = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8)).eval()
    monkeypatch.setattr(Memory, "of", lambda *given: (measure(*given)[0], 0))
    with pytest.raises(CheckFailed, match="check 'planned-memory' failed"):
        tiling.plan(norm, x)
    with pytest.raises(CheckFailed, match="check 'planned-memory' failed"):
        planner.pareto(norm, x)


class Between(nn.Module):
    """A function between two convolutions."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], channels: int = 8) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(channels, 4, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.function(self.first(x)))  # type: ignore[no-any-return]


def attended(x: torch.Tensor) -> torch.Tensor:
    tokens = x.flatten(2).mT
    return F.scaled_dot_product_attention(tokens, tokens, tokens).mT.reshape(x.shape)


WITH_COPIES: dict[str, Between] = {
    "instance norm": Between(F.instance_norm),
    "group norm": Between(nn.GroupNorm(2, 8)),
    "softmax over places": Between(lambda x: x.flatten(2).softmax(-1).view_as(x)),
    "attention": Between(attended),
    "Fourier transform": Between(lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real),
    "unfold": Between(lambda x: F.unfold(x, 3, padding=1).unflatten(-1, x.shape[-2:]), 72),
    "adaptive maximum": Between(nn.AdaptiveMaxPool2d(15)),
    "area": Between(lambda x: F.interpolate(x, size=(21, 19), mode="area")),
    "roll": Between(lambda x: x.roll((1, 2), (2, 3))),
    "own statistics": Between(lambda x: (x - x.mean((2, 3), True)) / x.std((2, 3), keepdim=True)),
}


@pytest.mark.parametrize("name", sampled(WITH_COPIES, 4))
def test_operations_that_copy_are_predicted_as_they_run(name: str) -> None:
    model, x = WITH_COPIES[name].eval(), torch.zeros(2, 3, 16, 16)
    plan = tiling.plan(model, x, mode="exact")
    runner = TiledRunner(model, plan)
    assert plan.checked == 0 and tiling.peak_memory(runner, x) == plan.peak_bytes
    runner(torch.zeros(3, 3, 16, 16))
    assert tiling.peak_memory(runner, x) == plan.peak_bytes, "after a batch of another size"


def last(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: function(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


LINEAR, WIDE = nn.Linear(8, 8), nn.Conv2d(8, 8, 5, padding=2)
ON_PARTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear over channels": last(LINEAR),
    "twice": last(lambda x: LINEAR(LINEAR(x))),
    "after what keeps the part": last(lambda x: LINEAR(x.relu_())),
    "after what makes it dense": last(lambda x: LINEAR(x * 2)),
    "beside a reader of more": lambda x: last(LINEAR)(x) + WIDE(x),
    "shuffle": nn.ChannelShuffle(2),
}


@pytest.mark.parametrize("grid", sampled([(4, 4), (2, 3)], [(2, 3)]))
@pytest.mark.parametrize("name", sampled(ON_PARTS, 3))
@torch.no_grad()
def test_operations_that_copy_what_is_a_part_are_predicted(name: str, grid: tuple[int, int]) -> None:
    """In a tile a map may be a part of what a kernel made; an operation that wants it dense copies it."""
    function = ON_PARTS[name]
    model = nn.Sequential(Between(function), nn.Conv2d(4, 4, 3, padding=1)).eval()
    x = torch.randn(2, 3, 32, 32)
    plan = tiling.plan(model, x, mode="exact", grid=grid, fuse_to="1")
    runner = TiledRunner(model, plan)
    assert plan.checked == pytest.approx(0, abs=0.01)
    assert (runner(x) - model(x)).abs().max() < 1e-5
    assert tiling.plan(model, x, mode="exact").checked == pytest.approx(0, abs=0.01)


SHUFFLES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "view": lambda x: x.view(-1, 4, 2, *x.shape[2:]).transpose(1, 2).contiguous().view(x.shape),
    "reshape": lambda x: x.reshape(x.shape[0], 2, 4, *x.shape[2:]).transpose(2, 1).reshape(x.shape),
    "permute": lambda x: x.view(x.shape[0], 2, 4, *x.shape[2:]).permute(0, 2, 1, 3, 4).reshape(x.shape),
    "flatten": lambda x: x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2),
    "layer": nn.ChannelShuffle(4),
}
NO_SHUFFLES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "rows": lambda x: x.view(x.shape[0], 2, 4, *x.shape[2:]).transpose(1, 3).reshape(x.shape),
    "images": lambda x: x.view(2, x.shape[0] // 2, *x.shape[1:]).transpose(0, 1).reshape(x.shape),
    "other groups": lambda x: x.view(x.shape[0], 2, 2, 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
    "groups beyond channels": lambda x: (
        x.reshape(x.shape[0], 2, 8, x.shape[2] // 2, x.shape[3]).transpose(1, 2).reshape(x.shape)
    ),
}


@pytest.mark.parametrize("name", [*SHUFFLES, *NO_SHUFFLES])
@torch.no_grad()
def test_shuffles_go_through_tiles_however_they_are_written(name: str) -> None:
    function = {**SHUFFLES, **NO_SHUFFLES}[name]
    model = nn.Sequential(Between(function), nn.Conv2d(4, 4, 3, padding=1)).eval()
    x = torch.randn(2, 3, 32, 32)
    plan = tiling.plan(model, x, mode="exact")
    assert (TiledRunner(model, plan)(x) - model(x)).abs().max() < 1e-5
    kinds = [operation.kind for operation in traced(ready(model, x, True), x).operations]
    assert ("whole" in kinds) == (name in NO_SHUFFLES)


def test_a_front_lies_within_its_budget_and_is_of_no_grid() -> None:
    model, x = Gated().eval(), torch.zeros(1, 3, 64, 64)
    front = tiling.pareto(model, x, mode="exact")
    middle = front[len(front) // 2].peak_bytes
    within = tiling.pareto(model, x, mode="exact", budget=middle)
    wanted = [plan.cost for plan in front if plan.peak_bytes <= middle]
    assert [plan.cost for plan in within] == wanted and 0 < len(wanted) < len(front)
    with pytest.raises(UsageError, match="the least is"):
        tiling.pareto(model, x, mode="exact", budget=front[0].peak_bytes - 1)
    for asked in ({"grid": 2, "fuse_to": "first"}, {"batch": 2}):
        with pytest.raises(UsageError, match="not of a front"):
            tiling.pareto(model, x, **asked)  # type: ignore[arg-type]


def test_a_plan_says_the_tiles_that_there_are() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)).eval(), torch.zeros(1, 3, 8, 6)
    plan = tiling.plan(model, x, grid=99, fuse_to="0")
    assert plan.steps[0].grid == (8, 6) and plan.tiles == 48 and "8 x 6 tiles" in str(plan)


@pytest.mark.parametrize("example", [(3, 32, 32), [], (torch.zeros(1, 3, 8, 8), 4)])
def test_an_example_that_is_no_tensor_is_refused(example: Any) -> None:
    with pytest.raises(UsageError, match=r"give a tensor \(N, C, H, W\)"):
        tiling.plan(nn.Conv2d(3, 4, 3), example)


def test_what_a_layer_makes_beyond_its_output_is_held_with_it() -> None:
    """Zeros on one side alone are made on both, and the outputs that are too many cut off."""
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(16, 16, 2), nn.ReLU())
    model, x = nn.Sequential(*layers, nn.Conv2d(16, 64, 1)).eval(), torch.zeros(1, 3, 12, 12)
    plan = tiling.plan(model, x, budget=10**9)
    assert plan.tiles == 0 and plan.checked == 0
    assert plan.peak_bytes == 4 * (13 * 13 * 16 + 12 * 12 * 64)


@torch.no_grad()
@pytest.mark.parametrize("scale, mode", [(2, "nearest"), (3, "bilinear"), ((2, 3), "bicubic")])
def test_independent_tiles_cut_within_a_pixel_that_is_enlarged(scale: Any, mode: str) -> None:
    """What lies beyond a tile's own pixels is made of its outermost ones."""
    model = Between(lambda x: F.interpolate(x, scale_factor=scale, mode=mode)).eval()
    model.first = nn.Conv2d(3, 8, 1)  # which no cut changes
    x = torch.randn(1, 3, 16, 14)
    plan = tiling.plan(model, x, grid=(3, 5), fuse_to="last", mode="block")
    runner = TiledRunner(model, plan)
    assert plan.tiles == 15 and tiling.peak_memory(runner, x) == plan.peak_bytes
    (stage,) = [part.stage for part in runner.parts if part.stage]
    enlarged = next(o for o in stage.operations if o.payload.what == "interpolate")
    first, x = model.first(x), runner(x)
    for row, column in itertools.product(stage.rows, stage.columns):
        here = [line[enlarged.name][0] for line in (row, column)]
        rows, columns = (slice(t.start, t.stop) for t in here)
        wide = F.pad(first[..., rows, columns], (2, 2, 2, 2), mode="replicate")
        scales = [w.scale for w in enlarged.windows]
        made = F.interpolate(wide, scale_factor=scale, mode=mode)
        top, left = (t.first - (t.start - 2) * s for t, s in zip(here, scales, strict=True))
        made = made[..., top : top + here[0].last - here[0].first, left : left + here[1].last - here[1].first]
        part = x[..., here[0].first : here[0].last, here[1].first : here[1].last]
        assert torch.allclose(part, model.last(made), atol=1e-5)


@pytest.mark.slow
def test_stages_that_plans_share_cost_what_they_cost_alone() -> None:
    model, x = Gated().eval(), torch.zeros(1, 3, 32, 32)
    shared, counted = traced(ready(model, x, True), x), Counted()
    stop = [i for i in shared.boundaries[1:] if not search.cannot_tile(shared, -1, i)][-1]
    for mode, grid, batch in itertools.product(("exact", "block"), ((1, 3), (4, 4)), (1, 2, 5)):
        steps = [*tiled_steps(shared, -1, stop, grid, batch), *whole_steps(shared, stop)]
        alone = traced(ready(model, x, True), x)
        wanted = cost(alone, program(alone, steps, mode), counted)  # type: ignore[arg-type]
        parts = program(shared, steps, mode)  # type: ignore[arg-type]
        assert cost(shared, parts, counted) == wanted
        for part in parts:
            if part.stage is not None:  # of all groups, not only those of different shapes
                every = [tile_bytes(shared, part, places, counted) for places in part.groups]
                assert stage_bytes(shared, part, counted) == max(every)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_network_of_many_branches_is_planned_in_time() -> None:
    model = network("timm:mobileone_s0")
    assert tiling.plan(model, torch.zeros(1, 3, 64, 64), mode="exact").tiles > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", sampled(["block", "exact"], 1))
@pytest.mark.parametrize("counting", sampled(["runtime", "bare"], 1))
def test_the_front_and_budgets_agree(mode: str, counting: str) -> None:
    """Each listed plan costs what its way said, no budget finds better, and none is beaten by another."""
    x = torch.zeros(1, 3, 64, 64)
    traces = traced(ready(network("timm:mobilenetv2_050"), x, True), x)
    made = search.Planner(traces, mode, "fp32", True, Counted(4, counting))  # type: ignore[arg-type]
    plans = made.front()
    costs = [(p.peak_bytes, p.macs, p.tiles) for p in plans]
    assert len(costs) > (24 if mode == "exact" else 3) and costs == sorted(set(costs))
    assert not [a for a in costs for b in costs if a != b and all(x <= y for x, y in zip(b, a, strict=True))]
    for plan in plans[:: max(1, len(plans) // 8)]:
        best = made.within(plan.peak_bytes)
        assert best.peak_bytes <= plan.peak_bytes and (best.macs, best.tiles) <= (plan.macs, plan.tiles)
        below = [p for p in plans if p.peak_bytes <= plan.peak_bytes]
        assert (best.macs, best.tiles) == min((p.macs, p.tiles) for p in below)


@pytest.mark.slow
def test_budgets() -> None:
    model = network("resnet18")
    plan = tiling.plan(model, IMAGE, budget="2MiB", mode="exact")
    assert plan.peak_bytes <= 2 * MIB < plan.layer_by_layer.peak_bytes
    assert max(step.batch for step in plan.steps) > 1, "room that is left is used for speed"
    with pytest.raises(UsageError, match=r"no plan needs 100.0 KiB or less; the least is .* needs"):
        tiling.plan(model, IMAGE, budget="100KiB", mode="exact")
    with pytest.raises(UsageError, match="save nothing in mode exact"):
        tiling.plan(model, IMAGE, grid=8, fuse_to="layer4", mode="exact")
    with pytest.raises(UsageError, match="this stage needs"):
        tiling.plan(model, IMAGE, grid=4, fuse_to="layer2", budget="300KiB")
    assert "4 x 4 tiles" in str(tiling.plan(model, IMAGE, grid=4, fuse_to="layer2"))
    assert tiling.plan(model, IMAGE, grid=4, fuse_to="layer2").cost.tiles == 16


@pytest.mark.parametrize(
    "text, size", [("256KiB", 262144), ("1.5MiB", 1572864), (1000, 1000), ("2kB", 2000), ("1 GiB", 2**30)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert planner.bytes_of(text) == size


def test_the_sum_of_windows_keeps_as_much_as_they_take() -> None:
    class Folds(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1)

    x = torch.randn(1, 8, 40, 44)
    plan = tiling.plan(Folds().eval(), x, mode="exact")
    assert plan.peak_bytes == peak_memory(Folds(), x) == 2 * 8 * 9 * 40 * 44 * 4
