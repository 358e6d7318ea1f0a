"""The door of backends for latency."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn


class Runtime(Protocol):
    """How a network is made ready to be timed: returns the callable whose calls are timed, on inputs like the example.

    The callable gives what the network gives, in its structure and dtypes, and is compared with it (check `other-runtime`).
    """

    def __call__(self, model: nn.Module, example: Float[Tensor, "B ..."]) -> Callable[[Tensor], object]: ...


RUNTIMES: Registry[Runtime] = Registry("RUNTIMES", "runtime")
