"""A network without what earlier calls left in it: what is kept in attributes, lists and dicts and the next call makes anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from blockzoo.models.copying import tensors_in
from blockzoo.models.state import left_as_it_is
from blockzoo.models.surroundings import Surroundings


class _Place(NamedTuple):
    """Where something is kept, how it is let go of, and whether there is something again."""

    name: str
    drop: Callable[[], object]
    is_back: Callable[[], bool]


def forget(module: nn.Module, run: Callable[[], object]) -> list[str]:
    """Let go of all tensors, neither parameters nor buffers, that a call brings back, and say where they were.

    What a call needs and does not make (a mask, a constant), or can do without, stays.

    Args:
        module: is changed; see `left_as_it_is` and `Surroundings`.
        run: the call; it may fail.
    """
    around, places = Surroundings(module), list(_places(module))

    def come_back(some: list[_Place]) -> bool:
        with left_as_it_is(module):
            for place in some:
                place.drop()
            try:
                run()
                return all(place.is_back() for place in some)
            except Exception:  # whatever a network does without something that it needs
                return False
            finally:
                around.restore()

    if not places:
        return []
    renewed = places if come_back(places) else [place for place in places if come_back([place])]
    for place in renewed:
        place.drop()
    return [place.name for place in renewed]


def _places(module: nn.Module) -> Iterator[_Place]:
    for path, layer in module.named_modules():
        own = {name: value for name, value in vars(layer).items() if not name.startswith("_parameters")}
        held = {name: value for name, value in own.items() if _keeps(name, value)}
        for name, value in held.items():
            yield _place(f"{path}.{name}".lstrip("."), vars(layer), name, value)
        if held:  # a flag may say that there is something
            for name, value in own.items():
                if value is True and name != "training":
                    yield _place(f"{path}.{name}".lstrip("."), vars(layer), name, value)
    kinds = {kind for layer in module.modules() for kind in type(layer).__mro__}
    for kind in sorted(kinds, key=lambda kind: kind.__qualname__):
        if not kind.__module__.startswith("torch."):
            for name, value in vars(kind).items():
                if isinstance(value, dict | list | set) and _keeps(name, value):
                    yield _place(f"{kind.__name__}.{name}", {}, name, value)


def _keeps(name: str, value: Any) -> bool:
    """Whether an attribute is, or holds, a tensor that is no state of torch's own."""
    if name in vars(nn.Module()):
        return False
    return isinstance(value, torch.Tensor | dict | list | set) and any(True for _ in tensors_in(value))


def _place(path: str, holder: dict[str, Any], name: str, value: Any) -> _Place:
    if isinstance(value, dict | list | set):
        return _Place(path, value.clear, lambda: bool(value))
    nothing = False if value is True else None

    def drop() -> None:
        holder[name] = nothing

    return _Place(path, drop, lambda: holder[name] is not nothing)
