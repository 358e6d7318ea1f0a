"""What modules read beyond what they hold: attributes of their classes, names of the files these are from. Kept and put back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn


class Surroundings:
    """Classes of all modules inside `module`, and the files of those that are not torch's, as they are now."""

    def __init__(self, module: nn.Module) -> None:
        classes = {kind for layer in module.modules() for kind in type(layer).__mro__} - {object}
        files = {
            sys.modules.get(kind.__module__) for kind in classes if not kind.__module__.startswith("torch.")
        }
        self._classes = {kind: dict(_attributes(kind)) for kind in classes}
        self._files = {file: dict(_attributes(file)) for file in files - {None}}
        values = [value for attributes in self._everything().values() for value in attributes.values()]
        self._inside = [(value, value.copy()) for value in values if type(value) in (dict, list, set)]

    def _everything(self) -> dict[Any, dict[str, Any]]:
        return {**self._classes, **self._files}

    def written(self) -> list[str]:
        """Attributes of classes that are new, gone, or another object."""
        return [
            f"{kind.__name__}.{name}"
            for kind, attributes in self._classes.items()
            for name in _differing(attributes, dict(_attributes(kind)))
        ]

    def restore(self) -> None:
        """Attributes, names, and what dictionaries, lists and sets among them hold, as they were."""
        for owner, attributes in self._everything().items():
            for name in _differing(attributes, dict(_attributes(owner))):
                setattr(owner, name, attributes[name]) if name in attributes else delattr(owner, name)
        for value, held in self._inside:
            value.clear()
            value.extend(held) if isinstance(value, list) else value.update(held)


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(owner).items() if not name.startswith("__"))


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    nothing = object()
    return [name for name in before | after if before.get(name, nothing) is not after.get(name, nothing)]
