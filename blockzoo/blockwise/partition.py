"""Which parameters form which network block: any cover of a network's parameters, checked to be complete and disjoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from blockzoo.core.errors import UsageError

WAYS = ("blocks", "halves", "module", "tensor", "stage")


@dataclass(frozen=True)
class Partition:
    """Labels, and for each the names of its parameters.

    Args:
        labels: in order.
        names: for each label, parameter names as `named_parameters` gives them.
    """

    labels: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        return iter(zip(self.labels, self.names, strict=True))

    def parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The parameters of `model` by block."""
        own = dict(model.named_parameters())
        return [[own[name] for name in names] for names in self.names]

    def sizes(self, model: nn.Module) -> list[int]:
        """Number of scalars in each block."""
        return [sum(p.numel() for p in block) for block in self.parameters(model)]


def make_partition(
    model: nn.Module, how: str | Mapping[str, str] | Sequence[Sequence[str]] | Partition = "blocks"
) -> Partition:
    """A partition of all parameters of a network.

    Args:
        model: the network.
        how: "blocks" (the network's own blocks), "halves" (the first half of these, and the others), "module" (every module that
            holds parameters itself), "tensor" (every parameter), "stage" (its direct children), a dict from label to a regular
            expression that whole names match (as text: "first=blocks.0.*;rest=blocks.[12].*"), or lists of parameter names.

    Raises:
        UsageError: a hole, an overlap or an empty block, with the parameters named.
    """
    if isinstance(how, Partition):
        partition = how
    elif isinstance(how, Mapping):
        partition = _by_expression(model, how)
    elif isinstance(how, str):
        if "=" in how:
            pairs = [part.partition("=") for part in how.split(";") if part.strip()]
            return make_partition(model, {label.strip(): expression for label, _, expression in pairs})
        ways = {
            "blocks": _by_blocks,
            "halves": _by_halves,
            "module": _by_module,
            "tensor": _by_tensor,
            "stage": _by_child,
        }
        if how not in ways:
            raise UsageError(
                f"partition {how!r}: choose {', '.join(WAYS)}, or expressions, 'first=blocks.0.*;rest=blocks.[12].*'"
            )
        partition = ways[how](model)
    else:
        partition = Partition(
            tuple(f"block {i}" for i in range(len(how))), tuple(tuple(names) for names in how)
        )
    check(model, partition)
    return partition


def check(model: nn.Module, partition: Partition) -> None:
    """Every parameter in exactly one block, and no block empty.

    Raises:
        UsageError: all faults at once.
    """
    own = dict(model.named_parameters())
    listed = Counter(name for _, names in partition for name in names)
    faults = [f"block {label!r} is empty" for label, names in partition if not names]
    if again := sorted(label for label, times in Counter(partition.labels).items() if times > 1):
        faults.append(f"several blocks are called {_shown(again)}")
    if missing := [name for name in own if name not in listed]:
        faults.append(f"in no block: {_shown(missing)}")
    if twice := sorted(name for name, times in listed.items() if times > 1):
        faults.append(f"in several blocks: {_shown(twice)}")
    if unknown := [name for name in listed if name not in own]:
        faults.append(f"no parameter of this network: {_shown(unknown)}")
    if tied := [" = ".join(names) for names in _tied(model) if set(names) & {*twice, *unknown}]:
        faults.append(
            f"one parameter under several names (tied) goes into one block: {_shown(tied)}; give expressions that put their "
            "modules together, 'first=blocks.[01].*;rest=blocks.2.*'"
        )
    if faults:
        raise UsageError("the partition is not one: " + "; ".join(faults))


def _tied(model: nn.Module) -> list[list[str]]:
    """The names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
    return [aliases for aliases in names.values() if len(aliases) > 1]


def _shown(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _by_blocks(model: nn.Module) -> Partition:
    """The network's own blocks; those without parameters are left out."""
    from blockzoo.models.partition import network_blocks

    blocks = getattr(model, "blocks", None)
    modules = (
        list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential | list) else network_blocks(model)
    )
    place = {id(p): name for name, p in model.named_parameters()}
    labels, names = [], []
    for number, block in enumerate(modules):
        if inside := tuple(place[id(p)] for p in block.parameters()):
            labels.append(f"{number} {_title(block)}")
            names.append(inside)
    return Partition(tuple(labels), tuple(names))


def _by_halves(model: nn.Module) -> Partition:
    """Two blocks; of an odd number of the network's own, the first has one less."""
    blocks = _by_blocks(model).names
    middle = len(blocks) // 2
    halves = {"first half": blocks[:middle], "second half": blocks[middle:]}
    return _of_groups({label: tuple(n for names in half for n in names) for label, half in halves.items()})


def _title(module: nn.Module) -> str:
    """The class of a block; of a mere container that of the first layer in it."""
    weighted = [m for m in module.modules() if any(True for _ in m.parameters(recurse=False))]
    container = type(module).__name__ in ("Sequential", "GraphModule") and weighted
    return type(weighted[0] if container else module).__name__


def _by_module(model: nn.Module) -> Partition:
    groups = {
        module or type(model).__name__: tuple(
            f"{module}.{n}".lstrip(".") for n, _ in m.named_parameters(recurse=False)
        )
        for module, m in model.named_modules()
    }
    return _of_groups({label: names for label, names in groups.items() if names})


def _by_tensor(model: nn.Module) -> Partition:
    return _of_groups({name: (name,) for name, _ in model.named_parameters()})


def _by_child(model: nn.Module) -> Partition:
    groups: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        groups.setdefault(name.partition(".")[0], []).append(name)
    return _of_groups({label: tuple(names) for label, names in groups.items()})


def _by_expression(model: nn.Module, how: Mapping[str, str]) -> Partition:
    own = [name for name, _ in model.named_parameters()]
    try:
        return _of_groups(
            {label: tuple(n for n in own if re.fullmatch(text, n)) for label, text in how.items()}
        )
    except re.error as error:
        raise UsageError(f"partition: {error.pattern!r} is no regular expression: {error}") from None


def _of_groups(groups: Mapping[str, tuple[str, ...]]) -> Partition:
    return Partition(tuple(groups), tuple(groups.values()))
