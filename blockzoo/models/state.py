"""What a module, and the process, hold: parameters and buffers as they were and as they are; generators that stay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import nn


def state(block: nn.Module, *, copied: bool = False) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name; with `copied`, as they are now."""
    tensors: dict[str, Any] = {**dict(block.named_parameters()), **dict(block.named_buffers())}
    return {name: value.detach().clone() if copied else value.detach() for name, value in tensors.items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> list[str]:
    """Names that are new, gone, or of another value."""
    return [name for name in before | after if not _equal(before.get(name), after.get(name))]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Are names, order and values equal?"""
    return list(first) == list(second) and not changed(first, second)


def _equal(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
    if first is None or second is None or first.shape != second.shape:
        return False
    return bool(((first == second) | ((first != first) & (second != second))).all())  # NaN is NaN


def storages(block: nn.Module) -> dict[int, str]:
    """The name of each parameter and buffer by where its values lie."""
    return {t.data_ptr(): name for name, t in state(block).items() if t.numel()}


@contextmanager
def left_as_it_is(module: nn.Module) -> Iterator[None]:
    """What becomes of a network within is undone: attributes, what lists and dicts among them hold, hooks of parameters, and
    values of parameters and buffers. These may be given others by `p.data = ...`, which writes to nothing that anyone else holds.
    """
    layers = list(module.modules())
    inside = [
        v
        for layer in layers
        for v in (vars(layer), *vars(layer).values())
        if isinstance(v, dict | list | set)
    ]
    held = [(v, v.copy()) for v in inside]
    training = [layer.training for layer in layers]
    tensors = [(t, t.data, t._backward_hooks) for t in (*module.parameters(), *module.buffers())]
    try:
        for t in module.buffers():
            t.data = t.detach().clone()  # a call may write to it
        yield
    finally:
        for t, data, hooks in tensors:
            t.data, t._backward_hooks = data, hooks
        for value, content in held:
            value.clear()
            value.extend(content) if isinstance(value, list) else value.update(content)
        for layer, was in zip(layers, training, strict=True):
            if layer.training != was:  # a scripted one keeps it elsewhere
                layer.training = was


@contextmanager
def generators_kept() -> Iterator[None]:
    """What is drawn within moves no generator of the process: torch's, Python's and NumPy's."""
    python, numpys = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(numpys)
