"""Does a network keep something from one call for the next, by assigning it? A graph of one call has no place for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from blockzoo.core.errors import RequestError


def held(module: nn.Module) -> dict[str, Any]:
    """The tensors and numbers that are attributes of a module and those inside, state included, by path."""
    return {
        f"{path}.{name}".lstrip("."): value
        for path, layer in module.named_modules()
        for name, value in {**vars(layer), **layer._parameters, **layer._buffers}.items()
        if isinstance(value, (torch.Tensor, int, float))
    }


class Assigned:
    """What one call of a network left in place of what there was.

    Args:
        module: that is traced, before the call.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, self._before = module, held(module)
        self._state = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
        self._nodes: dict[str, fx.Node | None] = {}
        self._numbers: list[str] = []

    def see(self, node_of: Callable[[Any], fx.Node | None]) -> None:
        """After the call, while it is traced.

        Args:
            node_of: the operation that made a tensor.
        """
        for path, value in held(self._module).items():
            old = self._before.get(path)
            if isinstance(value, torch.Tensor) and value is not old:
                self._nodes[path] = node_of(value)
            elif not isinstance(value, torch.Tensor) and value != old:
                self._numbers.append(path)

    def refuse_what_is_read(self, made: fx.GraphModule, again: Callable[[], fx.GraphModule]) -> None:
        """What is assigned and never read, and what does not depend on the image (a grid that is kept), does no harm.

        Args:
            made: the traced call.
            again: traces another call of the same module, as the first one left it.

        Raises:
            RequestError: the next call reads what this one left, or a parameter or buffer is another; names the attribute.
        """
        read = {
            id(getattr(made, str(n.target))): n for n in made.graph.nodes if n.op == "get_attr" and n.users
        }
        own = {path: read.get(id(self._before.get(path))) for path in self._nodes}
        sources = {node for node in (*own.values(), *made.graph.find_nodes(op="placeholder")) if node}
        left = [path for path, node in self._nodes.items() if node and sources & _behind(node)]
        for path in left:
            if path in self._state or own[path] is not None:
                self._refuse(path)
        if left or self._numbers:
            try:
                same = str(again().graph) == str(made.graph)
            except Exception:
                same = False
            if not same:
                self._refuse((left or self._numbers)[0])

    def _refuse(self, path: str) -> None:
        raise RequestError(
            f"{type(self._module).__name__} cannot be traced: it assigns {path} in its forward pass, which stays for the next "
            "call; give it as an input and return what becomes of it"
        )


def _behind(node: fx.Node) -> set[fx.Node]:
    """All that a value was made of, itself included."""
    found, open_ = {node}, [node]
    while open_:
        fresh = {*open_.pop().all_input_nodes} - found
        found |= fresh
        open_ += fresh
    return found
