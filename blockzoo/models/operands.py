"""What an operation of a traced network may be given: numbers, names and dense tensors; anything else is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from blockzoo.core.errors import UsageError

NO_TENSORS: dict[Any, tuple[str, str]] = {
    torch.Generator: (
        "a torch.Generator",
        "draw from torch's own generator, or make what is drawn a buffer or an input",
    ),
    torch.ScriptObject: ("weights that are packed in an object", "use the layer that was packed"),
    Callable: ("a function", "write what it does into the forward pass, without torch.cond and the like"),
}
"""Classes of other constants, what they are, and what to write instead."""


def tensor_of(node: fx.Node, value: object, module: nn.Module) -> torch.Tensor:
    """The constant that a `get_attr` node stands for.

    Raises:
        UsageError: it is no tensor; names the operation that takes it.
    """
    if isinstance(value, torch.Tensor):
        return value
    what, remedy = next(
        (words for kind, words in NO_TENSORS.items() if isinstance(value, kind)),
        (f"an object of class {type(value).__name__}", "write that part with tensors and numbers alone"),
    )
    raise _refusal(node, module, f"takes {what}; {remedy}")


def check_dense(node: fx.Node, made: object, module: nn.Module) -> None:
    """Tensors of a node lie in one storage, number by number.

    Raises:
        UsageError: one does not, being sparse or nested; names the operation.
    """
    for tensor in tree_leaves(made):
        if isinstance(tensor, torch.Tensor) and (tensor.layout != torch.strided or tensor.is_nested):
            kind = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
            raise _refusal(node, module, f"makes or takes a {kind} tensor; use a dense one")


def _refusal(node: fx.Node, module: nn.Module, why: str) -> UsageError:
    operation = node if node.op == "call_function" else next(iter(node.users), node)
    where = f" in {operation.meta['module']}" if operation.meta.get("module") else ""
    return UsageError(f"{type(module).__name__} cannot be run in tiles: {operation.target}{where} {why}")
