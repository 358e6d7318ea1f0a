"""The forms that a network is run in besides its own, each against the network: what agrees, and what is refused and why."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from blockzoo import tiling
from blockzoo.core.errors import BlockzooError
from blockzoo.models.agreement import MARGIN, SURE, deviation, probes, random_statistics, tensors
from blockzoo.models.copying import duplicate
from blockzoo.models.deploy import deployed, fold_batch_norm
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.graph.trace import dtype_name, planned_inputs, ready, traced
from blockzoo.tiling.planning.plan import Plan, Step, cannot_tile, tiled_steps, whole_steps
from blockzoo.tiling.planning.proof import check_planned_memory
from blockzoo.tiling.planning.search import Planner
from blockzoo.tiling.planning.tile_memory import Counted
from blockzoo.tiling.runtime.runner import TiledRunner

TOLERANCE, OF_FLOATS = 1e-9, 1e-4
"""Of the largest output: in double precision, and in a file of floats."""
PROBES = ("of both signs", "a hundred times as large", "with NaN and infinities")


@dataclass(frozen=True)
class Outcome:
    """What became of a network in one form.

    Args:
        kind: "agrees", "differs", "refused" (an error of this package's own), or "crashed" (any other).
        difference: the largest, of the largest output; None where there is none to compare.
        reason: of a refusal, a difference or a crash.
    """

    kind: str
    difference: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason or f'{self.difference:.1e}'}"

    @property
    def right(self) -> bool:
        return self.kind in ("agrees", "refused")


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy in double precision and evaluation mode, whose norms have random statistics and whose constant parameters (scales
    of branches that begin at zero or a millionth) are random too: on fresh ones no difference would be seen.
    """
    network = random_statistics(network, seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                parameter.copy_(torch.rand(parameter.shape, generator=generator) * 1.5 - 0.5)
    return network


class Truth:
    """A network as `drawn` gives it, and what it returns.

    Args:
        network: never changed here; forms are made of copies.
        x: one input, of which only the shape matters.
    """

    @torch.no_grad()
    def __init__(self, network: nn.Module, x: torch.Tensor) -> None:
        self.network, self.x, self.inputs = network, x, probes(x)
        self.wanted = [self._own(probe) for probe in self.inputs]
        moved = [
            deviation(w, self._own(p * (1 + 2**-50))) for w, p in zip(self.wanted, self.inputs, strict=True)
        ]
        self._allowed = [_allowed(TOLERANCE, m, number) for number, m in enumerate(moved)]

    def _own(self, probe: torch.Tensor) -> Any:
        """By a copy, which may change itself and its input; values that are written over later are kept."""
        return copy.deepcopy(duplicate(self.network)(probe.clone()))

    @torch.no_grad()
    def against(self, fast: Callable[[torch.Tensor], Any]) -> float:
        """The largest difference.

        Raises:
            Differs: it is more than rounding.
        """
        outputs = (fast(probe.clone()) for probe in self.inputs)
        return max(
            _checked(wanted, got, allowed, number)
            for number, (wanted, got, allowed) in enumerate(
                zip(self.wanted, outputs, self._allowed, strict=True)
            )
        )

    @torch.no_grad()
    def against_file(self, path: Path) -> float:
        """The same for the outputs of an ONNX file of floats, in order."""
        from blockzoo.tiling.onnx.session import every_output

        worst, floats = 0.0, duplicate(self.network).float()
        inputs = [probe.float() for probe in self.inputs[:2]]
        for number, got in enumerate(every_output(path, [[x.numpy()] for x in inputs])):
            wanted = [t for _, t in tensors(self._own(inputs[number].double()))]
            rounding = deviation(wanted, [t for _, t in tensors(duplicate(floats)(inputs[number].clone()))])
            allowed = _allowed(OF_FLOATS, rounding, number)
            worst = max(worst, _checked(wanted, [torch.from_numpy(f) for f in got], allowed, number))
        return worst


def _allowed(tolerance: float, moved: float, number: int) -> float | None:
    """More where the network itself moves by rounding; None of a probe, but the first, on which it moves so much that nothing
    can be seen.
    """
    own = MARGIN * moved
    return max(tolerance, own) if own <= SURE else None if number else tolerance


class Differs(AssertionError):
    """Of a form that computes something else."""


def _checked(wanted: Any, got: Any, allowed: float | None, probe: int) -> float:
    if allowed is None:
        return 0.0
    difference = deviation(wanted, got)
    if not difference <= allowed:
        shapes = [{path: tuple(tensor.shape) for path, tensor in tensors(output)} for output in (wanted, got)]
        said = f"{difference:.1e}" if shapes[0] == shapes[1] else f"{shapes[0]} is wanted, {shapes[1]} found"
        raise Differs(f"{said} on probe {probe}, {PROBES[probe]}")
    return difference


def folded(truth: Truth, given: nn.Module, folder: Path) -> float:
    return truth.against(fold_batch_norm(given, truth.x))


def merged_and_folded(truth: Truth, given: nn.Module, folder: Path) -> float:
    return truth.against(deployed(given, truth.x))


def planned(truth: Truth, given: nn.Module, folder: Path) -> float:
    """As `plan` says: the least memory for few more multiply-adds."""
    return truth.against(TiledRunner(given, tiling.plan(given, truth.x, mode="exact")))


def in_tiles(truth: Truth, given: nn.Module, folder: Path) -> float:
    """Everything that can be in 3 x 2 tiles, two at a time."""
    return truth.against(TiledRunner(given, all_in_tiles(given, truth.x, (3, 2), 2)))


def memory(truth: Truth, given: nn.Module, folder: Path) -> float:
    """That needs the memory which is predicted, or the check of it refuses the plan."""
    plan = all_in_tiles(given.float(), truth.x.float(), (3, 2), 1)
    runner = TiledRunner(given, plan, check=False)
    inputs = planned_inputs(given, plan)
    return check_planned_memory(runner.network, plan, inputs, dtype_name(given, inputs), runner.name)


def exported(truth: Truth, given: nn.Module, folder: Path) -> float:
    """Layer by layer."""
    path = folder / "network.onnx"
    path.unlink(missing_ok=True)  # of another network
    tiling.export_onnx(given.float(), truth.x.float(), path)
    return truth.against_file(path)


def file_in_tiles(truth: Truth, given: nn.Module, folder: Path) -> float:
    """That file by the plan of least memory that there is for it."""
    from blockzoo.tiling.onnx.files import opened
    from blockzoo.tiling.onnx.fuse import Layers
    from blockzoo.tiling.onnx.normalise import normalised

    source, path = folder / "network.onnx", folder / "tiles.onnx"
    if not source.exists():
        tiling.export_onnx(given.float(), truth.x.float(), source)
    least = Layers(normalised(opened(source))).front("exact")[0]
    tiling.fuse_onnx(source, path, tiling.Fusing(budget=least.peak_bytes, mode="exact"), overwrite=True)
    return truth.against_file(path)


FORMS: dict[str, Callable[[Truth, nn.Module, Path], float]] = {
    "folded": folded,
    "deployed": merged_and_folded,
    "planned": planned,
    "tiles": in_tiles,
    "memory": memory,
    "exported": exported,
    "file in tiles": file_in_tiles,
}


def outcome(form: str, truth: Truth, folder: Path) -> Outcome:
    """Of one form; the network that it is made of must be left as it was."""
    given = duplicate(truth.network)
    try:
        result = Outcome("agrees", FORMS[form](truth, given, folder))
    except BlockzooError as error:
        result = Outcome("refused", reason=f"{type(error).__name__}: {error}")
    except Differs as error:
        result = Outcome("differs", reason=str(error))
    except Exception as error:
        result = Outcome("crashed", reason=f"{type(error).__name__}: {error}")
    after, same = given.state_dict(), truth.network.state_dict()
    if any(not torch.equal(value.to(after[name].dtype), after[name]) for name, value in same.items()):
        return Outcome("differs", reason=f"the network that was given has changed; {result}")
    return result


def all_in_tiles(network: nn.Module, x: torch.Tensor, grid: tuple[int, int], batch: int) -> Plan:
    """From each place the longest stage that there can be, whatever it costs."""
    graph = traced(ready(network, x, True), x)
    planner = Planner(graph, "exact", dtype_name(network, x), True, Counted())
    return planner.made(_longest_stages(graph, grid, batch))


def _longest_stages(network: Network, grid: tuple[int, int], batch: int) -> list[Step]:
    steps: list[Step] = []
    ends, place = network.boundaries, 0
    while place < len(ends) - 1:
        stops = [n for n in range(place + 1, len(ends)) if _can_be_stage(network, ends[place], ends[n])]
        if stops:
            steps += tiled_steps(network, ends[place], ends[stops[-1]], grid, batch)
            place = stops[-1]
        else:
            steps += whole_steps(network, ends[place], ends[place + 1])
            place += 1
    return steps


def _can_be_stage(network: Network, start: int, stop: int) -> bool:
    """As the search for plans asks."""
    last = network.operations[stop]
    has_map = last.axes is not None or last.kind == "pool"
    return not cannot_tile(network, start, stop) and last.kind != "small" and has_map
