"""Run a network as a plan says: stages tile by tile, each tile through the whole stage before the next one starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from blockzoo.core.errors import UsageError
from blockzoo.models.copying import duplicate, tensors_in
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.graph.trace import DTYPES, own_dtype, planned_inputs, ready, traced
from blockzoo.tiling.planning.plan import Plan, PlannedStep, program
from blockzoo.tiling.runtime.check import check_runner
from blockzoo.tiling.runtime.interpreter import Interpreter

if TYPE_CHECKING:
    from jaxtyping import Shaped


class TiledRunner(nn.Module):
    """A network in evaluation mode, run as a plan says; it returns what the network returns, in the same structure, and moves
    (`to`), loads weights and is copied and kept in files as any module is. Weights that are written or replaced later count.

    Args:
        model: the network the plan was made for; it is copied.
        plan: from `plan`.
        check: compare it with the network, see `check_runner`. Where norms were folded, the network as it was given is kept, to
            prove that they may be for other numbers of images.

    Has:
        checked: the largest difference that was found; None: not compared.
        name: of the network, for messages.

    Raises:
        UsageError: the plan does not fit the network; in `forward`, an image of another size than planned.
        CheckFailed: what it computes is not what the network does; the message names the operation.
    """

    def __init__(self, model: nn.Module, plan: Plan, *, check: bool = True) -> None:
        super().__init__()
        network = duplicate(model).eval() if check else model
        example = planned_inputs(model, plan)
        own = own_dtype(model, example[0])
        if DTYPES.get(plan.dtype, own) != own:
            raise UsageError(
                f"this plan counts {plan.dtype}, and {type(network).__name__} is of {str(own).removeprefix('torch.')}: "
                f"plan it so, or give the runner the network in {plan.dtype}"
            )
        self.plan, self.name = plan, type(network).__name__
        self._model = _counting_writes(ready(model, example, plan.fold))
        changed = network.state_dict().keys() != self._model.state_dict().keys()
        self._given = (
            (network,) if check and plan.fold and changed else ()
        )  # its norms are proven for so many images
        self.checked: float | None = None
        untraced = duplicate(self._model) if check else model
        self._fit(example)
        if check:
            self.checked = check_runner(network, untraced, self)
        self._proven = {_kinds(example)}

    def _fit(self, inputs: Sequence[torch.Tensor]) -> None:
        """Trace the network as it is now, for so many images, their type and device."""
        self._fits: Any = _kinds(inputs)
        with _disable_current_modes():  # who counts memory or operations counts the run
            self.network: Network = traced(self._model, inputs)
            try:
                self.parts: list[PlannedStep] = program(self.network, self.plan.steps, self.plan.mode)
                _check_whole(self.network, self.parts)
            except (KeyError, UsageError) as error:
                self._fits = None
                planned = tuple(inputs[0].shape) == tuple(self.plan.input_shape)
                if planned and isinstance(error, UsageError):
                    raise
                why = f"it has no operation {error}" if isinstance(error, KeyError) else error
                raise UsageError(
                    f"{self.name} computes something else for inputs of {_listed(inputs)} than for "
                    f"{self.plan.input_shape}, which this plan was made for ({why}): make a plan for these"
                ) from error
            self.interpreter = Interpreter(self.network)
        self._seen = self._state()

    def _state(self) -> list[tuple[int, int, int]]:
        """Which tensors the parameters, buffers and attributes are, where they lie, and how often each was written to: weights
        that are others in any of these ways are laid out anew. Writes through `.data` are not counted by PyTorch: see `renew`.
        """
        return [
            (id(t), t.data_ptr() if t.layout == torch.strided else 0, t._version)
            for layer in self._model.modules()
            for value in (layer._parameters, layer._buffers, *vars(layer).values())
            for t in tensors_in(value)
        ]

    def renew(self) -> None:
        """Weights are others, or elsewhere: what follows from them is worked out anew. To be called after writes through `.data`;
        others are noticed.
        """
        self._fits = None

    def __getstate__(self) -> dict[str, Any]:
        """For copies and files: without what follows from the weights."""
        fitted = ("_fits", "_seen", "interpreter", "network", "parts")
        return {name: value for name, value in self.__dict__.items() if name not in fitted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._fit(planned_inputs(self._model, self.plan))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """The weights of a runner, or of a network that has the parameters that the runner's has (no norms that were folded).

        Raises:
            UsageError: they are of neither.
        """
        own = {f"_model.{name}": value for name, value in state_dict.items()}
        try:
            return super().load_state_dict(
                own if own.keys() == self.state_dict().keys() else state_dict, strict, assign
            )
        except RuntimeError as error:
            raise UsageError(
                f"{self.name}: these are not the weights of this runner, whose network is a copy"
                f"{' with norms folded' if self.plan.fold else ''}; load them into the network and make a runner of it"
            ) from error

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> TiledRunner:
        """What `to`, `cuda`, `half` and their like call."""
        super()._apply(fn, recurse)
        self.renew()
        return self

    @torch.no_grad()
    def forward(self, *inputs: torch.Tensor) -> Any:
        """What the network returns for images (N, C, H, W) of the planned size, and its other inputs."""
        self.prepare(inputs)
        return self.interpreter.outputs(self.interpreter.values_of(inputs, self.parts))

    def prepare(self, inputs: Sequence[torch.Tensor]) -> None:
        """Fit the operations to these inputs, if they are not."""
        wanted = [shape[1:] for shape in (self.plan.input_shape, *self.plan.other_inputs)]
        if [tuple(x.shape[1:]) for x in inputs] != wanted:
            shapes = " and ".join(str(tuple(x.shape[1:])) for x in inputs)
            planned = " and ".join(map(str, wanted))
            raise UsageError(f"this plan is for inputs of {planned}, not {shapes}: make one for this size")
        if len(inputs) > 1 and self.network.writes_inputs and _share_memory(inputs):
            raise UsageError(
                f"{self.name} writes to what it is given, and two of its inputs lie in the same memory: give it copies"
            )
        if self._fits != _kinds(inputs) or self._seen != self._state():
            self._fit(inputs)
            self._prove(inputs)

    def _prove(self, inputs: Sequence[torch.Tensor]) -> None:
        """Another number of images, dtype or device is checked as the first was, once."""
        if self.checked is None or self._fits in self._proven or any(x.is_meta for x in inputs):
            return
        kinds = self._fits
        self._prove_folding(inputs)
        self._proven.add(kinds)  # the check runs it
        plain, zeros = duplicate(self._model), [_zeros_like(x) for x in inputs]
        try:
            plainly = torch.autocast(inputs[0].device.type, enabled=False)
            with _disable_current_modes(), torch.inference_mode(False), plainly:
                self.checked = max(self.checked, check_runner(plain, plain, self, zeros))
        except Exception:
            self._proven.discard(kinds)
            self._fits = None
            raise
        self._fit(inputs)

    def _prove_folding(self, inputs: Sequence[torch.Tensor]) -> None:
        """What was merged and folded may be so for another number of images too: a network can do something else with several.

        Raises:
            UsageError: it may not.
        """
        if not self._given or tuple(inputs[0].shape) == tuple(self.plan.input_shape):
            return
        (network,) = self._given
        planned = planned_inputs(network, self.plan)
        zeros = [own.new_zeros(x.shape) for own, x in zip(planned, inputs, strict=True)]
        plainly = torch.autocast(zeros[0].device.type, enabled=False)
        with _disable_current_modes(), torch.inference_mode(False), plainly:
            again = ready(network, zeros, True)
        if again.state_dict().keys() != self._model.state_dict().keys():
            self._fits = None
            raise UsageError(
                f"{self.name} computes something else for {len(inputs[0])} images than for {self.plan.input_shape[0]}, which its "
                "batch norms were folded for: make a plan and a runner for so many, or fold=False"
            )

    @torch.no_grad()
    def run_stage(self, x: Shaped[torch.Tensor, "N C H W"]) -> Shaped[torch.Tensor, "N ..."]:
        """The output of the last stage that is run in tiles, for the image alone."""
        self.prepare([x])
        stages = [i for i, part in enumerate(self.parts) if part.stage is not None]
        if not stages:
            raise UsageError("this plan runs no stage in tiles")
        chosen = self.parts[: stages[-1] + 1]
        return self.interpreter.values_of([x], chosen)[chosen[-1].step.output]  # type: ignore[no-any-return]


def _kinds(inputs: Sequence[torch.Tensor]) -> Any:
    """What a network is traced for; by the layout of an image it shows what is a view and what a copy."""
    return tuple((tuple(x.shape), x.dtype, x.device, _layout(x)) for x in inputs)


def _layout(x: torch.Tensor) -> Any:
    return None if x.is_contiguous() else tuple(s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1)


def _zeros_like(x: torch.Tensor) -> torch.Tensor:
    """Zeros with the same layout, gaps and overlaps included."""
    spread = sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))
    return x.new_zeros(1 + spread if x.numel() else 0).as_strided(x.shape, x.stride())


def _counting_writes(model: nn.Module) -> nn.Module:
    """The model without tensors of inference mode, whose writes nobody counts."""
    with torch.inference_mode(False), torch.no_grad():
        for layer in model.modules():
            for name, parameter in layer._parameters.items():
                if parameter is not None and parameter.is_inference():
                    layer._parameters[name] = nn.Parameter(parameter.clone(), requires_grad=False)
            for name, value in (*layer._buffers.items(), *vars(layer).items()):
                if isinstance(value, torch.Tensor) and value.is_inference():
                    setattr(layer, name, value.clone())
    return model


def _share_memory(inputs: Sequence[torch.Tensor]) -> bool:
    places = [x.untyped_storage().data_ptr() for x in inputs if x.numel() and not x.is_meta]
    return len(set(places)) < len(places)


def _listed(inputs: Sequence[torch.Tensor]) -> str:
    return " and ".join(f"{tuple(x.shape)}{'' if x.is_contiguous() else ', not contiguous,'}" for x in inputs)


def _check_whole(network: Network, parts: Sequence[PlannedStep]) -> None:
    """All that is read is made.

    Raises:
        KeyError: the name of what is not.
    """
    available = {*network.given, *network.constants}
    for part in parts:
        operations = part.operations if part.stage is None else []
        for operation in operations:
            for source in operation.sources:
                if source not in available:
                    raise KeyError(source)
            available.add(operation.name)
        available.add(part.step.output)
    for name in network.outputs:
        if name not in available:
            raise KeyError(name)
