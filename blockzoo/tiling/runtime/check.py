"""A tiled runner against the network it was made from, when it is made: the one comparison that sees every way of going wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError, CheckFailed, UsageError
from blockzoo.models.agreement import (
    OF_PYTORCH,
    Claim,
    compare,
    deviation,
    drawn_like,
    is_constant,
    probes,
)
from blockzoo.models.findings import said
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.graph.trace import own_dtype, planned_inputs
from blockzoo.tiling.planning.plan import PlannedStep, program, whole_steps
from blockzoo.tiling.planning.stage import Stage, whole_map

if TYPE_CHECKING:
    from blockzoo.tiling.runtime.runner import TiledRunner

Inputs = Sequence[torch.Tensor]
"""Of a network; the first is the image."""
Run = Callable[..., Any]

TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Of the largest output, by dtype; of others 1e-4."""
DRAWN = 10
"""Factor on the tolerance with drawn weights and on large inputs, on which deep networks round more."""
KINDS = ("of both signs", "that are large", "with NaN and infinities")
"""What the probes are, in words."""
LOOK_UP = ("embedding", "index", "gather", "scatter", "take", "put", "one_hot")
"""Beginnings of the names of operations that read at computed places. On a GPU an index out of range ends the process."""
FEW_MACS = 2_000_000_000
"""Networks of more multiply-adds run on one probe alone."""


@CHECKS.register("tiled-runner")
def check_runner(
    network: nn.Module, ready: nn.Module, runner: TiledRunner, given: Inputs | None = None
) -> float:
    """A `TiledRunner` against the network, on inputs of both signs, large, and with NaN and infinities; and again with weights
    drawn where they are constant (a branch that is multiplied by 0 shows nothing). In mode "block", whose result is not the
    network's, in two steps: the network against the same operations on whole maps, and these, each layer cut as the plan says,
    against the tiles.

    With NaN and infinities it is the network as it was made ready, its branches merged and norms folded, that is compared with.
    An input that the network itself refuses shows nothing. One that takes no images of both signs gets some of 0 to 1. NaN are
    for operations of PyTorch alone.

    Catches: an operation taken for local that is not, a halo too small, a write in place or an output that is lost or of another
    type, NaN that vanishes, tiles put in the wrong place.

    Tolerance: 1e-4 of the largest output, 1e-3 with drawn weights and on large inputs; 2e-2 in float16, 1e-1 in bfloat16; or 30
    times what the network itself moves by when its input is off by rounding, up to 0.1. Large inputs on which that is more show
    nothing.

    Cost: eight passes of the network, half of them in tiles, and two copies; above 2 G multiply-adds four passes. MobileNetV2 at
    224: 1.7 s of one core, 18 % of planning and making the runner (AMD EPYC). Again for each other number of images, dtype or
    device, when it first runs.

    Args:
        network: as it was given.
        ready: as the runner's network was before it was traced.
        runner: to be checked.
        given: inputs whose shapes, types and device it is checked for; None: those of its plan.

    Raises:
        CheckFailed: they differ.
        UsageError: the network takes none of these images.
    """
    example, *others = planned_inputs(runner, runner.plan) if given is None else given
    beside = [probes(other)[0] for other in others]
    images = _images(example, special=_takes_nan(runner, example))
    if own_dtype(runner, example) in TOLERANCE or runner.plan.layer_by_layer.macs > FEW_MACS:
        images = images[:1]
    inputs = {kind: (x, *beside) for kind, x in zip(KINDS, images, strict=False)}
    try:
        worst = _compared(network, ready, runner, inputs, 1)
    except _Refused:
        if not example.is_floating_point():
            raise
        inputs = {"of 0 to 1": (images[0].abs().clamp(max=1), *beside)}
        worst = _compared(network, ready, runner, inputs, 1)
    first = dict([next(iter(inputs.items()))])
    with _drawn(runner, ready) as drawn, suppress(_Refused):  # weights that nobody trained
        worst = max(worst, _compared(ready, ready, runner, first, DRAWN) if drawn else 0.0)
    return worst


class _Refused(UsageError):
    """The network does not take an input that it is to be compared on."""


def _takes_nan(runner: TiledRunner, example: torch.Tensor) -> bool:
    """May its operations be given NaN without harm to the process?"""
    targets = [operation.payload.target for operation in runner.network.operations if operation.payload]
    overloads = [target for target in targets if isinstance(target, torch._ops.OpOverload)]
    if any(target.namespace not in OF_PYTORCH for target in overloads):
        return False
    return not (example.is_cuda and any(target._opname.startswith(LOOK_UP) for target in overloads))


def _images(example: torch.Tensor, special: bool) -> list[torch.Tensor]:
    """Probes; of integers one image, with as many values as bytes have."""
    if example.is_floating_point() or example.is_complex():
        return probes(example, special=special)
    most = 2 if example.dtype == torch.bool else min(256, torch.iinfo(example.dtype).max + 1)
    drawn = torch.randint(most, example.shape, generator=torch.Generator().manual_seed(0))
    return [drawn.to(example)]


def _compared(
    plain: nn.Module, ready: nn.Module, runner: TiledRunner, inputs: Mapping[str, Inputs], factor: int
) -> float:
    """The largest difference over inputs, by what they are in words; of those after the first, some may be refused."""
    pairs: list[tuple[Run, Run]] = [(plain, runner)]
    if runner.plan.mode == "block":
        pairs = [(plain, partial(_whole, runner)), (partial(_one_by_one, runner), runner)]
    images = [batch[0] for batch in inputs.values()]
    tolerance = factor * TOLERANCE.get(own_dtype(runner, images[0]), 1e-4)
    worst, refused = 0.0, set()
    for number, (wanted, tried) in enumerate(pairs):
        for kind, batch in inputs.items():
            if kind in refused:
                continue
            allowed = tolerance * (DRAWN if "large" in kind and factor == 1 else 1)
            claim = Claim("tiled-runner", f"{runner.name} in tiles, inputs {kind}", allowed)
            unsure = [0] if "large" in kind else []
            special = wanted is plain and kind == KINDS[2]
            right = (
                ready if special else wanted
            )  # merged branches no longer subtract one infinity from another
            try:
                one, other = (_seeded(run, batch[1:]) for run in (right, tried))
                one = _by_itself(one, runner.name, kind) if number == 0 else one
                worst = max(worst, compare(claim, one, other, [batch[0]], unsure=unsure))
            except _Refused:
                if batch[0] is images[0]:
                    raise
                refused.add(kind)
            except CheckFailed as error:
                where = _where(ready, runner, batch, allowed, whole=number < len(pairs) - 1)
                raise CheckFailed(f"{error}; it shows first in {where}") from None
    return worst


def _by_itself(run: Run, name: str, kind: str) -> Run:
    """The network alone: what it raises is its own."""

    def ran(x: torch.Tensor) -> Any:
        try:
            return run(x)
        except (BlockzooError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise _Refused(
                f"{name} does not take images {kind} ({said(error)}), so that its tiles cannot be compared with it; "
                "TiledRunner(..., check=False) leaves the comparison out"
            ) from error

    return ran


def _seeded(run: Run, others: Inputs) -> Run:
    """Networks that draw random numbers draw the same; the state of the process is left alone."""

    def seeded(x: torch.Tensor) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return run(x, *(other.clone() for other in others))

    return seeded


def _whole(runner: TiledRunner, *inputs: torch.Tensor) -> Any:
    """The output of the operations on whole maps."""
    runner.prepare(inputs)
    network, interpreter = runner.network, runner.interpreter
    parts = program(network, whole_steps(network), runner.plan.mode)
    return interpreter.outputs(interpreter.values_of(inputs, parts))


def _one_by_one(runner: TiledRunner, *inputs: torch.Tensor) -> Any:
    """The output of the operations on whole maps, where the plan has tiles each layer cut by these."""
    return runner.interpreter.outputs(_values(runner, inputs))


def _values(runner: TiledRunner, inputs: Inputs, tiles: bool = True) -> dict[str, Any]:
    """What each step of the plan makes, as `_one_by_one`; without `tiles` no layer is cut, and every operation's value."""
    runner.prepare(inputs)
    values: dict[str, Any] = runner.interpreter.given(inputs)
    network, parts = runner.network, runner.parts
    for part in parts if tiles else program(network, whole_steps(network), runner.plan.mode):
        inside = dict(values) if part.stage else values
        operations = [
            *part.operations,
            *([network.by_name[part.step.output]] if part.step.kind == "pooled" else []),
        ]
        for operation in operations:
            if operation.kind == "window":
                inside[operation.name] = _cut(runner, part, operation, inside[operation.maps[0]])
            else:
                inside[operation.name] = operation.payload.run(inside.__getitem__)
        values[part.step.output] = inside[part.step.output]
    return values


def _cut(runner: TiledRunner, part: PlannedStep, operation: Operation, x: torch.Tensor) -> torch.Tensor:
    """A layer on its whole map, tile by tile."""
    if part.stage is None:
        rows, columns = whole_map(runner.network, operation)
        return runner.interpreter.window(operation, x, rows[operation.name], columns[operation.name])
    output = x.new_empty(len(x), *operation.shape[1:], dtype=operation.dtype)
    for row, column in _places(part.stage, operation):
        top, left = (min(tile.start for tile in side) for side in (row, column))
        bottom, right = (max(tile.stop for tile in side) for side in (row, column))
        patch = runner.interpreter.window(operation, x[..., top:bottom, left:right], row, column)
        output[..., row[0].first : row[-1].last, column[0].first : column[-1].last] = patch
    return output


def _places(stage: Stage, operation: Operation) -> Iterator[tuple[Any, Any]]:
    for rows in stage.rows:
        for columns in stage.columns:
            yield rows[operation.name], columns[operation.name]


@contextmanager
def _drawn(runner: TiledRunner, ready: nn.Module) -> Iterator[bool]:
    """Both networks with random numbers for parameters and statistics that are constant, afterwards the runner has its own; says
    whether there are any.
    """
    generator = torch.Generator().manual_seed(0)
    pairs = [
        (mine, other) for mine, other in zip(_state(runner), _state(ready), strict=True) if is_constant(mine)
    ]
    originals = [mine.clone() for mine, _ in pairs]
    try:
        with torch.no_grad():
            for mine, other in pairs:
                values = drawn_like(mine, generator)
                other.copy_(values)
                mine.copy_(values)
        if pairs:
            runner.renew()
        yield bool(pairs)
    finally:
        with torch.no_grad():
            for (mine, _), own in zip(pairs, originals, strict=True):
                mine.copy_(own)
        if pairs:
            runner.renew()


def _state(module: nn.Module) -> list[torch.Tensor]:
    """Parameters, and the statistics of norms."""
    statistics = [b for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return [*module.parameters(), *statistics]


def _where(ready: nn.Module, runner: TiledRunner, inputs: Inputs, tolerance: float, whole: bool) -> str:
    """The first operation, or step of the plan, whose result differs."""

    def given() -> Inputs:
        return [x.clone() for x in inputs]

    if runner.plan.mode == "exact" or whole:
        values, layers = _values(runner, given(), tiles=False), _layers_of(ready, given())
        for operation in runner.network.operations:
            seen = layers.get(operation.label)
            if seen is not None and not deviation(seen, values[operation.name], types=True) <= tolerance:
                return f"{operation}, on the whole map"
    if not whole:
        values = _values(runner, given(), tiles=runner.plan.mode == "block")
        for number, part in enumerate(runner.parts, 1):
            name = part.step.output
            tiled = runner.interpreter.values_of(given(), runner.parts[:number])[name]
            if not deviation(values[name], tiled, types=True) <= tolerance:
                return f"the step to {runner.network.by_name[name]}"
    return "an operation without a layer of its own"


def _layers_of(plain: nn.Module, inputs: Inputs) -> dict[str, torch.Tensor]:
    """What the layers of a network make that are called once."""
    seen: dict[str, Any] = {}

    def watch(path: str) -> Callable[..., None]:
        def saw(layer: nn.Module, inputs: Any, output: Any) -> None:
            seen[path] = output.clone() if path not in seen and isinstance(output, torch.Tensor) else None

        return saw

    leaves = [(path, layer) for path, layer in plain.named_modules() if not [*layer.children()]]
    hooks = [layer.register_forward_hook(watch(path)) for path, layer in leaves]
    try:
        with torch.no_grad():
            plain(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {path: value for path, value in seen.items() if value is not None}
