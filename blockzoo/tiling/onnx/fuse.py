"""ONNX models fused: a stage, or the plan for a budget, in tiles; compared with the layers one by one; its memory recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.documents import first_line
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.units import aligned_size
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.onnx.check import (
    Plain,
    check_file,
    check_integers,
    check_memory,
    plain_of,
    probes_for,
)
from blockzoo.tiling.onnx.files import free, opened, saved, told
from blockzoo.tiling.onnx.graph import Cut, makes_several, network_of, plain_name
from blockzoo.tiling.onnx.nodes import Value
from blockzoo.tiling.onnx.normalise import normalised
from blockzoo.tiling.onnx.session import Inputs, executed, outputs, relative_error, values_of
from blockzoo.tiling.onnx.special import SAME, Special, said_of_special
from blockzoo.tiling.onnx.tiles import planned_bytes, tiled_model
from blockzoo.tiling.planning.options import Cutting
from blockzoo.tiling.planning.plan import Plan, program, whole_steps
from blockzoo.tiling.planning.planner import bytes_of
from blockzoo.tiling.planning.search import Planner
from blockzoo.tiling.planning.stage import Mode, Stage, carried_cuts, check_grid
from blockzoo.tiling.planning.tile_memory import Counted

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Fusing(Cutting):
    """What to fuse: a stage by grid and last module, or the plan with the fewest multiply-adds within a budget.

    Raises:
        UsageError: not one of the two, or a setting out of its range.
    """

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if (self.grid is None) == (self.budget is None):
            yield "say what to fuse: grid and fuse_to, or a budget alone"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_grid((1, 1) if self.grid is None else self.tiles, self.mode)


@dataclass(frozen=True)
class FusedReport:
    """What a fused file is.

    Args:
        path: of the file.
        nodes: in it.
        tiles: passes through fused stages.
        peak_bytes: of live activations as ONNX Runtime runs it, the input not counted; joining tiles is counted.
        layer_by_layer_bytes: the same of the model that was fused.
        planned_bytes: what the plan said before the file was written, and check `onnx-memory` holds it to.
        macs_ratio: multiply-adds, relative to layer by layer.
        max_error: against the layers one by one, in "block" mode each cut by the same tiles, relative to the largest output.
        identical: no output differs in any bit.
        plan: the steps.
        cuts: where layers are cut, by name of the node; the same in the model of floats and in int8.
        checked: the largest difference that check `onnx-file`, or `onnx-integers` of int8, found in the written file.
        special: what the file makes of NaN and infinities that what it was made from does not, in words, as check `onnx-special`
            found; "": nothing.
    """

    path: Path
    nodes: int
    tiles: int
    peak_bytes: int
    layer_by_layer_bytes: int
    planned_bytes: int
    macs_ratio: float
    max_error: float
    identical: bool
    plan: Plan
    cuts: Mapping[str, Cut]
    checked: float = 0.0
    special: str = ""

    def __str__(self) -> str:
        same = "the same in every bit" if self.identical else f"largest difference {self.max_error:.1e}"
        return (
            f"{self.path}: {self.nodes} nodes, {self.tiles} tiles, {self.macs_ratio:.2f} x the MACs; live activations "
            f"{aligned_size(self.peak_bytes)} (layer by layer {aligned_size(self.layer_by_layer_bytes)}; planned "
            f"{aligned_size(self.planned_bytes)}); against the layers one by one: {same}; "
            f"checked {self.checked:.1e}" + (f"\nNaN and infinities: {self.special}" if self.special else "")
        )


@dataclass(frozen=True)
class Layers:
    """A model with one node for each layer, and how those of its layers are cut that are blocked.

    Args:
        model: in the form of `onnx.normalise.normalised`.
        cuts: by name of the node.
        plain: the network that it was made from; None: quantised, which only its own integers are equal to.
        name: of the network, for messages.
        story: what the metadata of its files say.
        special: how its files are held to what it makes of NaN and infinities.
    """

    model: ModelProto
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    plain: Plain | None = None
    name: str = "the model"
    story: Mapping[str, Any] = field(default_factory=dict)
    special: Special = Special()

    @cached_property
    def network(self) -> Network:
        return network_of(self.model, self._values, self.cuts)

    @property
    def quantised(self) -> bool:
        return any("QLinear" in node.op_type for node in self.model.graph.node)

    def one_by_one(self, plan: Plan | None = None) -> ModelProto:
        """The slow truth: every layer on its whole map, a blocked one tile by tile; with a plan of independent tiles, so are the
        layers of its stages, each for itself: its tiles are made and joined before the next layer begins.

        Raises:
            UsageError: something is cut, and a node makes several values.
        """
        if plan is None and not self.cuts and any(map(makes_several, self.model.graph.node)):
            return self.model  # which is what is wanted: nothing is cut
        network = self.network if plan is None else Layers(self.model, self.cuts_of(plan)).network
        return tiled_model(self.model, network, program(network, whole_steps(network), "exact"))

    def cuts_of(self, plan: Plan) -> dict[str, Cut]:
        """Where layers are cut when a plan runs: the blocked ones, or those in stages of independent tiles."""
        if self.cuts or plan.mode != "block":
            return dict(self.cuts)
        parts = program(self.network, plan.steps, plan.mode)
        by_stage = [_cuts_of(self.network, part.stage) for part in parts if part.stage is not None]
        return {name: cut for cuts in by_stage for name, cut in cuts.items()}

    def in_tiles(self, plan: Plan) -> ModelProto:
        """The stages of a plan fused."""
        return tiled_model(self.model, self.network, program(self.network, plan.steps, plan.mode))

    def planned(self, fusing: Fusing) -> Plan:
        """The plan that is asked for, its memory as ONNX Runtime runs the file: slices are copied and tiles are joined.

        Raises:
            UsageError: a stage that cannot be cut, or a budget that no plan reaches as ONNX Runtime runs it.
        """
        if fusing.fuse_to is not None:
            return self._as_file(self._planner(fusing.mode).fused(fusing.tiles, fusing.fuse_to, 1, None))
        assert fusing.budget is not None
        limit = bytes_of(fusing.budget)
        planner = self._planner(fusing.mode)
        candidates = [
            *planner.front(limit),
            *planner.front(),
        ]  # a file may need less than is counted before it is one
        for plan in sorted(
            filter(self._can_be_written, candidates), key=lambda plan: (plan.macs, plan.tiles)
        ):
            plan = self._as_file(plan)
            if plan.peak_bytes <= limit:
                return plan
        raise UsageError(
            f"no plan keeps the live activations within {aligned_size(limit)} as ONNX Runtime runs it, which joins tiles; the "
            f"least is {aligned_size(self.front(fusing.mode)[0].peak_bytes)}. `blockzoo tile plan ... --target onnx` plans "
            "files; without it, what is planned is run by this package"
        )

    def front(self, mode: Mode) -> list[Plan]:
        """The plans that `planned` chooses from, Pareto-optimal as ONNX Runtime runs them, the least memory first."""
        plans = [self._as_file(p) for p in self._planner(mode).front() if self._can_be_written(p)]
        costs = {(p.peak_bytes, p.macs, p.tiles): p for p in plans}
        return [costs[a] for a in sorted(costs) if not any(_beats(b, a) for b in costs)]

    def _can_be_written(self, plan: Plan) -> bool:
        """Means of integers would be rounded tile by tile."""
        return not (self.quantised and any(step.kind == "pooled" for step in plan.steps))

    def _planner(self, mode: Mode) -> Planner:
        dtype, item = ("int8", 1) if self.quantised else ("fp32", 4)
        return Planner(self.network, mode, dtype, False, Counted(item, "bare"))

    @cached_property
    def _values(self) -> Mapping[str, Value]:
        return values_of(self.model)

    @cached_property
    def _peak_of_layers(self) -> int:
        parts = program(self.network, whole_steps(self.network), "exact")
        return max(planned_bytes(self.model, self.network, parts, self._values))

    def _as_file(self, plan: Plan) -> Plan:
        """The same steps, counted as a file needs them."""
        parts = program(self.network, plan.steps, plan.mode)
        each = tuple(planned_bytes(self.model, self.network, parts, self._values))
        return replace(
            plan,
            target="onnx",
            cost=replace(plan.cost, peak_bytes=max(each), steps=each),
            layer_by_layer=replace(plan.layer_by_layer, peak_bytes=self._peak_of_layers),
        )


def _beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def fuse_onnx(
    source: str | Path,
    path: str | Path,
    fusing: Fusing,
    *,
    images: np.ndarray | None = None,
    others: Inputs = (),
    overwrite: bool = False,
    strict: bool = False,
) -> FusedReport:
    """Write a fused form of an ONNX file, of floats or quantised, with the same weights.

    Args:
        source: a network of images (N, C, H, W), and perhaps other inputs; shapes stay as they are.
        path: of the file to write.
        fusing: what to fuse.
        images: (n, C, H, W) to compare both on; random ones by default.
        others: what else the network is given; drawn by default, integers 0.
        overwrite: replace a file that is there.
        strict: refuse a file that makes something else of NaN and infinities than `source`; without, the report says what.

    Raises:
        CheckFailed: the file computes something else than `source`; there is no file then.
        UsageError: a damaged file, one that is there already, an option out of its range, a stage that cannot be cut, or a
            budget that no plan reaches.
    """
    path = free(path, overwrite)
    layers, model = layers_of(source)
    plain = None if layers.quantised else plain_of(model)
    layers = replace(layers, plain=plain, special=Special(strict))
    return fused(layers, path, fusing, images, others)


def layers_of(source: str | Path) -> tuple[Layers, ModelProto]:
    """The layers of a file, and the model as it stands there.

    Raises:
        UsageError: a damaged file, or a network that cannot be taken apart; it names the file.
    """
    model = opened(source)
    try:
        layers = Layers(normalised(model), name=str(source))
        assert layers.network.operations
    except BlockzooError as error:
        raise UsageError(f"{source}: {first_line(error)}") from error
    except Exception as error:  # of a graph that is whole and yet none of a network
        raise UsageError(
            f"{source}: its graph cannot be taken apart ({type(error).__name__}: {first_line(error)}); export it again"
        ) from error
    return layers, model


def fused(
    layers: Layers, path: Path, fusing: Fusing, images: np.ndarray | None = None, others: Inputs = ()
) -> FusedReport:
    """Fuse, compare and write; see `fuse_onnx`."""
    plan = layers.planned(fusing)
    tiled, truth = told(layers.in_tiles(plan), layers.story), layers.one_by_one(plan)
    if images is None:
        count, *shape = layers.network.input_shape
        images = np.random.default_rng(0).standard_normal((max(4, count), *shape))
    probes = probes_for(layers.model, [images, *others])
    checked, special = 0.0, ""

    def check(written: Path) -> dict[str, Any]:
        nonlocal checked, special
        checked = _checked(layers, plan, written, truth, probes)
        limit = None if fusing.budget is None else bytes_of(fusing.budget)
        check_memory(written, plan.peak_bytes, limit, layers.name)
        special = _special(layers, plan, written, truth, probes[0])
        return {"checked": f"{checked:.1e}", "plan": str(plan), "special": special or SAME}

    saved(tiled, path, check)
    computed, wanted = (outputs(model, images, others=probes[0][1:]) for model in (tiled, truth))
    return FusedReport(
        path,
        len(tiled.graph.node),
        plan.tiles,
        executed(tiled).peak_bytes,
        executed(layers.model).peak_bytes,
        plan.peak_bytes,
        plan.macs / max(1, plan.layer_by_layer.macs),
        relative_error(computed, wanted),
        bool(np.array_equal(computed, wanted)),
        plan,
        layers.cuts_of(plan),
        checked,
        special,
    )


def _checked(layers: Layers, plan: Plan, written: Path, truth: ModelProto, images: Sequence[Inputs]) -> float:
    """The largest difference between a fused file and what it stands for.

    Tiles that do not see each other are another network, which the layers one by one compute, cut alike; that these are the
    network's own is compared too, uncut.
    """
    if layers.plain is None:
        return check_integers(written, plain_of(truth), images, layers.name)
    if plan.mode == "exact" or layers.cuts:
        return check_file(written, layers.plain, images, layers.name)
    whole = check_file(layers.one_by_one(), layers.plain, images, layers.name)
    return max(whole, check_file(written, plain_of(truth), images, layers.name))


def _special(layers: Layers, plan: Plan, written: Path, truth: ModelProto, image: Inputs) -> str:
    """What a fused file makes of NaN and infinities that the network does not, compared with the same as `_checked` does."""
    held, name = layers.special, layers.name
    if layers.plain is None or plan.mode == "exact" or layers.cuts:
        return said_of_special(written, layers.plain, image, name, held)
    whole = said_of_special(layers.one_by_one(), layers.plain, image, name, held)
    tiled = said_of_special(written, plain_of(truth), image, name, Special(held.strict))
    return "; ".join(filter(None, (whole, tiled and f"in tiles, {tiled}")))


def _cuts_of(network: Network, stage: Stage) -> dict[str, Cut]:
    """Where the layers of a stage of independent tiles are cut, by name of the node."""
    final = stage.output.name
    rows, columns = (
        carried_cuts(network, stage.operations, axis, [0, *(line[final][-1].last for line in lines)])
        for axis, lines in ((0, stage.rows), (1, stage.columns))
    )
    return {
        plain_name(o.payload.name): Cut(rows[o.name], columns[o.name])
        for o in stage.operations
        if o.kind == "window"
    }
