"""Weights that are no parameters: constants of a frozen graph, packed ones of a quantised layer, buffers, plain attributes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from blockzoo.measure.outside import storages

OPERANDS = 3
"""Of an operation, the first so many: the inputs, weight and bias of a product, and no mask."""


class Held:
    """What a network multiplies its input, or what it made of it, with, and that is neither a parameter nor made of any.

    Args:
        module: about to be called.
        inputs: of the call.
    """

    def __init__(self, module: nn.Module, *inputs: torch.Tensor) -> None:
        self._images = storages(inputs)
        self._known = self._images | storages(list(module.parameters()))
        self._buffers = storages(list(module.buffers()))
        self._sizes: dict[bool, dict[int, int]] = {
            True: {},
            False: {},
        }  # by whether it is of a buffer, numbers by place
        self._where: dict[bool, set[str]] = {True: set(), False: set()}
        self._packed: set[str] = set()

    def saw(self, name: str, args: Any, kwargs: Any, out: Any, multiplies: bool) -> None:
        """An operation ran; `multiplies` where it has multiply-adds, or nobody knows whether."""
        inputs, outputs = storages([args, kwargs]), storages(out)
        if multiplies and inputs & self._images:
            self._operands(name, args)
        self._images = self._images | outputs if inputs & self._images else self._images - (outputs - inputs)
        if inputs and not inputs & self._known:  # made of constants: a constant
            self._known -= outputs - inputs
            if inputs & self._buffers:
                self._buffers |= outputs
        else:
            self._known |= outputs - inputs

    def _operands(self, name: str, args: Any) -> None:
        leaves = tree_leaves(args)
        if any(isinstance(leaf, torch.ScriptObject) for leaf in leaves):
            self._packed.add(name)
        for tensor in [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)][:OPERANDS]:
            for place in storages(tensor) - self._known:
                of_buffer = place in self._buffers
                self._sizes[of_buffer][place] = tensor.untyped_storage().nbytes() // tensor.element_size()
                self._where[of_buffer].add(name)

    def unseen(self) -> tuple[str, ...]:
        """Sentences on what nothing that lists the network's state would show."""
        sentences = []
        if self._sizes[False]:
            sentences.append(self._said(False, "weights that are neither parameters nor buffers"))
        if self._packed:
            sentences.append(
                f"params_total and model_bytes lack the packed weights of {_listed(self._packed)}"
            )
        return tuple(sentences)

    def notes(self) -> tuple[str, ...]:
        """All sentences."""
        of_buffers = (self._said(True, "buffers that are used as weights"),) if self._sizes[True] else ()
        return (*self.unseen(), *of_buffers)

    def _said(self, of_buffer: bool, what: str) -> str:
        numbers = sum(self._sizes[of_buffer].values())
        return f"params_total and model_bytes lack {numbers:,} numbers of {what}, in {_listed(self._where[of_buffer])}"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
