"""What executes an operation of a traced network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn


@dataclass(frozen=True)
class Payload:
    """What executes an operation.

    Args:
        what: name of its kind, in small letters.
        layer: the module, where it is one.
        target: the function; the layer itself where there is one.
        args, kwargs: with nodes of the graph for values.
    """

    what: str
    layer: nn.Module | None
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def given(self, values: Callable[[str], Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Its arguments, with the values of the operation's sources."""
        args, kwargs = fx.map_arg((list(self.args), dict(self.kwargs)), lambda node: values(node.name))
        return args, kwargs

    def run(self, values: Callable[[str], Any]) -> Any:
        """With the values of the operation's sources."""
        args, kwargs = self.given(values)
        return self.target(*args, **kwargs)
