"""The operations of one call of a network, each with its layer, its multiply-adds and the bytes that it moves.

Multiply-adds are those that `MacCounter` counts while an operation runs: there is one formula for each. Where a function of torch
is counted as it is defined and not as it is run (a complex convolution), the difference goes to the last operation that it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.core.quantity import Form, OnPaper, Specimen
from blockzoo.core.roofline import Operation
from blockzoo.measure.bytes_moved import traffic
from blockzoo.measure.kinds import kind_of
from blockzoo.measure.macs import MacCounter, counting

NO_OPERATIONS = frozenset(("prim", "profiler"))
"""Namespaces of what asks a tensor something, or leaves a mark."""


class Ledger(TorchDispatchMode):
    """Writes down each operation inside its context, in `.operations`. Enter it inside `counting()`.

    Args:
        counter: that counts the multiply-adds.
        layers: paths of the modules that run, the innermost last.
    """

    supports_higher_order_operators = True

    def __init__(self, counter: MacCounter, layers: list[str]) -> None:
        super().__init__()
        self._counter, self._layers = counter, layers
        self._counted = counter.macs
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.settle()
        out = func(*args, **kwargs)
        if getattr(func, "namespace", "") in NO_OPERATIONS:
            return out
        macs = self._counter.macs - self._counted
        self._counted = self._counter.macs
        name = str(getattr(func, "_overloadpacket", func))
        moved = traffic(func, args, kwargs, out)
        unknown = (("MACs",) if name in self._counter.uncounted else ()) + (() if moved.known else ("bytes",))
        kind = kind_of(func, args, has_macs=macs > 0, view=moved.view)
        layer = self._layers[-1] if self._layers else ""
        self.operations.append(Operation(layer, name, kind, macs, moved.read, moved.written, unknown))
        return out

    def settle(self) -> None:
        """Gives what was counted since the last operation ended to it."""
        if self._counter.macs != self._counted and self.operations:
            last = self.operations[-1]
            self.operations[-1] = replace(last, macs=last.macs + self._counter.macs - self._counted)
        self._counted = self._counter.macs


def operations_of(module: nn.Module, call: Callable[[], Any]) -> list[Operation]:
    """The operations of a call of a module, in their order, without gradients.

    Args:
        module: as it is called; its layers give the paths.
        call: calls it.

    Examples:
        >>> layer, x = nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.zeros(1, 3, 4, 4)
        >>> (one,) = operations_of(layer, lambda: layer(x))
        >>> one.kind, one.macs, one.bytes_read == x.nbytes + layer.weight.nbytes, one.bytes_written == 4 * 8 * 4 * 4
        ('dense convolutions', 3456, True, True)
    """
    with following(module) as layers, counting() as counter:
        ledger = Ledger(counter, layers)
        with ledger:
            call()
        ledger.settle()
        check_operation_costs(type(module).__name__, ledger.operations, counter.macs)
    return ledger.operations


@contextmanager
def following(module: nn.Module) -> Iterator[list[str]]:
    """The paths of the layers that run, the innermost last, while they run."""
    running: list[str] = []

    def entering(path: str) -> Callable[..., None]:
        return lambda *given: running.append(path)

    def leaving(*given: Any) -> None:
        running.pop()

    hooks = []
    for path, layer in module.named_modules():
        if not isinstance(layer, torch.jit.ScriptModule):
            hooks.append(layer.register_forward_pre_hook(entering(path)))
            hooks.append(layer.register_forward_hook(leaving, always_call=True))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


class Operations(OnPaper[tuple[Operation, ...]]):
    """The operations of a part, in one of its forms.

    Args:
        form: "inference", deployed; or "training", as it is trained, in training mode.
    """

    stored = False

    def __init__(self, form: Form) -> None:
        super().__init__(f"operations, {form}")
        self.form = form  # type: ignore[misc]

    def measure(self, specimen: Specimen) -> tuple[Operation, ...]:
        operations = operations_of(specimen.module, lambda: specimen.module(specimen.x))
        if self.form == "inference":
            check_operation_costs(type(specimen.module).__name__, operations, specimen.macs)
        return tuple(operations)


@CHECKS.register("operation-costs")
def check_operation_costs(name: str, operations: Sequence[Operation], macs: int) -> float:
    """The multiply-adds of a network's operations, added up, with those that `profile` has of it.

    Catches: an operation that is left out or counted twice, multiply-adds that no operation has, a network whose deployed forms
    do not compute the same, or that computes something else with other tensors or at another call.

    Tolerance: none; both are whole numbers.

    Cost: a sum.
    """
    added = sum(operation.macs for operation in operations)
    if added != macs:
        raise CheckFailed(
            f"{name}: its operations have {added:,} multiply-adds one by one and {macs:,} together, so its costs cannot be told "
            "by operations"
        )
    return 0.0
