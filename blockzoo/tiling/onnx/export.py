"""Networks as ONNX files: layer by layer or fused, of floats or int8."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.units import aligned_size
from blockzoo.models.agreement import tensors
from blockzoo.models.copying import duplicate
from blockzoo.models.exporting import onnx_program
from blockzoo.models.findings import said
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.graph.trace import Example, inputs_of, ready, traced
from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d
from blockzoo.tiling.onnx.check import Plain, check_file, probes_for
from blockzoo.tiling.onnx.fault import (
    foreign_operation,
    operation_at_fault,
    operations_on_special,
    state_that_changes,
)
from blockzoo.tiling.onnx.files import free, needed, saved, told
from blockzoo.tiling.onnx.fuse import FusedReport, Fusing, Layers, fused
from blockzoo.tiling.onnx.graph import Cut, label_of, network_of
from blockzoo.tiling.onnx.normalise import normalised
from blockzoo.tiling.onnx.quantise import Calibration, quantised
from blockzoo.tiling.onnx.session import Inputs, executed, outputs, relative_error, values_of
from blockzoo.tiling.onnx.special import SAME, Special, said_of_special
from blockzoo.tiling.operations.lookup import translations

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class ExportReport:
    """What a file is that was exported layer by layer.

    Args:
        path: of the file.
        nodes: in it.
        peak_bytes: of live activations as ONNX Runtime runs it, the input not counted.
        max_error: against the network in torch on the example, relative to the largest output; of int8, what quantisation
            changes.
        checked: the largest difference from the network in torch that check `onnx-file` found in the written file; None: int8,
            which has nothing to be equal to.
        special: what the file makes of NaN and infinities that the network does not, in words, as check `onnx-special` found; "":
            nothing.
    """

    path: Path
    nodes: int
    peak_bytes: int
    max_error: float
    checked: float | None = None
    special: str = ""

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.nodes} nodes, live activations {aligned_size(self.peak_bytes)}, "
            f"largest difference from torch {self.max_error:.1e}"
            + ("" if self.checked is None else f"; checked {self.checked:.1e}")
            + (f"\nNaN and infinities: {self.special}" if self.special else "")
        )


def export_onnx(
    model: nn.Module,
    example: Example,
    path: str | Path,
    *,
    fusing: Fusing | None = None,
    calibration: Calibration | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> ExportReport | FusedReport:
    """Write a network in evaluation mode to an ONNX file of single precision; batch norms are folded into convolutions.

    Args:
        model: any network, of any precision, on any device; layers that are blocked (`block_convert`) keep their tiles, and get
            no others.
        example: (N, C, H, W): its shape is the file's, its values are what file and network are compared on. Several inputs as a
            sequence, the images first.
        path: of the file to write.
        fusing: what to fuse; None: layer by layer.
        calibration: how to quantise to int8; None: floats.
        overwrite: replace a file that is there.
        strict: refuse a file that makes something else of NaN and infinities than the network; without, the report says what.

    Raises:
        UsageError: torch cannot export the network, a stage cannot be cut, a budget cannot be reached, the file is there
            already, or the extra `onnx` is missing.
        CheckFailed: the file computes something else than the network; there is no file then.
    """
    return exported(model, example, WantedFile(Path(path), overwrite, strict), fusing, calibration)


@dataclass(frozen=True)
class WantedFile:
    """The file that an export is to write.

    Args:
        path: where.
        overwrite, strict: see `export_onnx`.
        story: what its metadata say, as of its weights.
    """

    path: Path
    overwrite: bool = False
    strict: bool = False
    story: Mapping[str, Any] | None = None


def exported(
    model: nn.Module,
    example: Example,
    file: WantedFile,
    fusing: Fusing | None,
    calibration: Calibration | None,
) -> ExportReport | FusedReport:
    """`export_onnx`, with all that a file can be."""
    path = free(file.path, file.overwrite)
    model, inputs = _of_floats(model, example)
    layers = onnx_layers(model, inputs, file.story)
    layers = replace(layers, special=replace(layers.special, strict=file.strict))
    seen = [x.numpy() for x in inputs]
    images = probes_for(layers.model, seen)
    if calibration is not None:
        assert layers.plain is not None
        check_file(
            layers.one_by_one(), layers.plain, images, layers.name
        )  # what is quantised computes what it should
        layers = quantised(layers, calibration)
    if fusing is not None:
        return fused(layers, path, fusing, seen[0], seen[1:])
    proto, checked = told(layers.one_by_one(), layers.story), None
    special = ""

    def check(written: Path) -> dict[str, Any]:
        nonlocal checked, special
        if layers.plain is not None:
            try:
                checked = check_file(written, layers.plain, images, layers.name)
            except CheckFailed as error:
                raise CheckFailed(f"{error}{_why(model, inputs)}") from None
        special = said_of_special(written, layers.plain, images[0], layers.name, layers.special)
        return {
            "checked": "not compared: int8" if checked is None else f"{checked:.1e}",
            "special": special or SAME,
        }

    saved(proto, path, check)
    error = relative_error(outputs(proto, seen[0], others=seen[1:]), _in_torch(model)(seen)[0])
    return ExportReport(path, len(proto.graph.node), executed(proto).peak_bytes, error, checked, special)


def _why(model: nn.Module, given: Sequence[torch.Tensor]) -> str:
    """Of a network whose file differs from it: what it changes when it runs, or which operation differs; "" if nobody knows."""
    if state := state_that_changes(model, given):
        return f"; its forward pass changes {state}, which a file cannot: give it as an input, and return what becomes of it"
    fault = operation_at_fault(model, given, _exported)
    return f"; it shows in {fault}" if fault else ""


def _in_torch(model: nn.Module) -> Plain:
    """All outputs of a network in evaluation mode, as they come; the network stays as it is."""
    ready = duplicate(model).eval()

    @torch.no_grad()
    def run(given: Inputs) -> list[np.ndarray]:
        images, *others = given
        try:
            result = ready(torch.from_numpy(np.array(images, np.float32)), *map(torch.from_numpy, others))
        except Exception as error:
            raise UsageError(
                f"{type(model).__name__} does not take all images of numbers of both signs, on which a file is compared with it "
                f"({said(error)}): let it clamp what it reads"
            ) from error
        return [tensor.float().numpy() for _, tensor in tensors(result)]

    return run


def _of_floats(model: nn.Module, example: Example) -> tuple[nn.Module, list[torch.Tensor]]:
    """Both as a file has them, in single precision and on the processor: the network itself where it is so, else a copy."""
    state = [*model.parameters(), *model.buffers()]
    odd = any(t.is_cuda or (t.is_floating_point() and t.dtype != torch.float32) for t in state)
    first, *others = (x.detach().cpu() for x in inputs_of(example))
    floats = [first.float(), *(x.float() if x.is_floating_point() else x for x in others)]
    return (duplicate(model).float().cpu() if odd else model), floats


def onnx_layers(model: nn.Module, example: Example, story: Mapping[str, Any] | None = None) -> Layers:
    """A network as an ONNX model of one node for each layer, and where its blocked layers are cut.

    Args:
        model: any network, as for `export_onnx`.
        example: its inputs, as for `export_onnx`; the shapes are the model's.
        story: what the metadata of a file made of it say.

    Raises:
        UsageError: torch cannot export it, or the extra `onnx` is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        needed(name)
    model, inputs = _of_floats(model, example)
    about: dict[str, Any] = {
        "name": type(model).__name__,
        "plain": _in_torch(model),
        "story": story or {},
        "special": Special(
            suspects=partial(operations_on_special, model, inputs, _exported),
            foreign=partial(foreign_operation, model, inputs),
        ),
    }
    plain = ready(model, inputs, fold=True)
    blocked = any(isinstance(layer, BLOCKED) for layer in plain.modules())
    cuts = _cuts(traced(plain, inputs)) if blocked else {}
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, BLOCKED) and name in cuts:
            plain.set_submodule(name, _unblocked(layer))
    proto = normalised(
        _exported(plain, inputs), {name for name, m in plain.named_modules() if not [*m.children()]}
    )
    if not cuts:
        return Layers(proto, **about)
    waiting = {label: list(calls) for label, calls in cuts.items()}
    named = {}
    for operation in network_of(proto, values_of(proto), {}).operations:
        label = label_of(operation.payload.name)
        if operation.kind == "window" and waiting.get(label):
            named[operation.payload.name] = waiting[label].pop(0)
    if any(waiting.values()):
        raise UsageError(
            f"{', '.join(label for label, left in waiting.items() if left)}: blocked layers that the exporter replaced by others"
        )
    return Layers(proto, named, **about)


BLOCKED = (BlockConv2d, BlockMaxPool2d, BlockAvgPool2d)


def _cuts(network: Network) -> dict[str, list[Cut]]:
    """Of each blocked layer, by its path, for each of its calls."""
    cuts: dict[str, list[Cut]] = {}
    for operation in network.operations:
        if operation.own is not None:
            padding = "zeros" if operation.padding == "constant" else operation.padding
            cuts.setdefault(operation.label, []).append(Cut(*operation.own, padding))
    return cuts


def _unblocked(layer: nn.Module) -> nn.Module:
    """The same layer on a whole map."""
    plain: Any = copy.copy(layer)
    if isinstance(layer, BlockConv2d):
        plain.__class__ = nn.Conv2d
        plain.padding_mode = "zeros"
    else:
        plain.__class__ = nn.MaxPool2d if isinstance(layer, BlockMaxPool2d) else nn.AvgPool2d
    assert isinstance(plain, nn.Module)
    return plain


def _exported(model: nn.Module, given: Sequence[torch.Tensor]) -> ModelProto:
    """By torch, with what the tileable operations add to its exporter."""
    return onnx_program(model, given, translations())
