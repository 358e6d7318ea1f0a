"""The main output of a network that gives several: what is trained, and whose shape is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.said import say_once
from blockzoo.models.agreement import tensors

if TYPE_CHECKING:
    from jaxtyping import Float


MAIN = "logits out output outputs prediction predictions pred preds scores last_hidden_state".split()
"""Names under which networks give their main output beside others, the plainest first."""


@dataclasses.dataclass(frozen=True)
class Main:
    """The main output.

    Args:
        tensor: itself.
        path: where it stands among the outputs; "output" where it is the only one.
        others: the paths of the others.
        certain: False where it is the first of several that nothing tells apart.
    """

    tensor: torch.Tensor
    path: str = "output"
    others: tuple[str, ...] = ()
    certain: bool = True

    @property
    def said(self) -> str:
        """Which one it is, as a sentence; "" where it is the only one and bare."""
        if self.path == "output":
            return ""
        beside = f"; beside it: {', '.join(self.others[:4])}" if self.others else ""
        more = f" and {len(self.others) - 4} more" if self.others[4:] else ""
        return f"the main output is {self.path}{beside}{more}"


def main_output(output: object, name: str = "the network") -> Main:
    """The main one of a network's outputs: of a mapping, named tuple or dataclass the one with a name of `MAIN`, of a tuple the
    first, as auxiliary heads come behind it; else the only tensor there is. Which one is said once.

    Args:
        output: what a call returned.
        name: of the network, for messages.

    Raises:
        UsageError: there is no tensor.
    """
    if isinstance(output, torch.Tensor):
        return Main(output)
    by_path = dict(tensors(output))
    if not by_path:
        raise UsageError(f"{name} returns {_described(output)}: a network returns a tensor, or several")
    path, certain = _main_path(output, "output")
    if path not in by_path:
        path = next(iter(by_path))
        certain = len(by_path) == 1
    main = Main(by_path[path], path, tuple(other for other in by_path if other != path), certain)
    if main.others:
        say_once(f"{name}: {main.said}")
    return main


def class_scores(
    output: object, images: int, classes: int, name: str = "the network"
) -> Float[torch.Tensor, "B classes"]:
    """The main output of a classifier.

    Args:
        output: what a call returned.
        images: how many the network was called with.
        classes: how many scores each image must have.
        name: of the network, for messages.

    Raises:
        UsageError: it has another shape, or it cannot be told which output is the main one.
    """
    if isinstance(output, torch.Tensor) and output.shape == (images, classes):
        return output
    main = main_output(output, name)
    if not main.certain:
        raise UsageError(
            f"{name} returns {', '.join((main.path, *main.others)[:5])}, and nothing says which one is trained: "
            "return the main one alone, first in a tuple, or as 'logits' of a dictionary"
        )
    if main.tensor.shape != (images, classes):
        where = "" if main.path == "output" else f" ({main.path})"
        raise UsageError(
            f"{name} gives shape {tuple(main.tensor.shape)}{where} for {images} images of {classes} classes, where "
            f"{(images, classes)} is trained: name a classifier of {classes} classes"
        )
    return main.tensor


def _main_path(output: Any, path: str) -> tuple[str, bool]:
    """Where the main output stands, and whether anything tells it apart; paths as `tensors` writes them."""
    if isinstance(output, torch.Tensor):
        return path, True
    if isinstance(output, Mapping):
        name = _first(output)
        return (path, False) if name is None else _main_path(output[name], f"{path}[{name!r}]")
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
        name = _first(fields)
        return (path, False) if name is None else _main_path(fields[name], f"{path}.{name}")
    if isinstance(output, tuple) and output:
        named = getattr(output, "_fields", ())
        name = _first(dict(zip(named, output, strict=True))) if named else None
        index = named.index(name) if name else 0
        return _main_path(output[index], f"{path}[{index}]")
    if isinstance(output, list) and len(output) == 1:
        return _main_path(output[0], f"{path}[0]")
    return path, False


def _first(values: Mapping[Any, Any]) -> str | None:
    return next((name for name in MAIN if values.get(name) is not None), None)


def _described(output: Any) -> str:
    kind = type(output).__name__
    return "nothing" if output is None else f"a {kind} without a tensor"
