"""Copy and swap blocks between networks of one architecture, buffers by an explicit policy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

import torch
from torch import nn

from blockzoo.blockwise.partition import Partition
from blockzoo.core.errors import UsageError

BufferPolicy = Literal["own", "copy", "average"]
POLICIES = ("own", "copy", "average")


@torch.no_grad()
def copy_block(
    source: nn.Module, target: nn.Module, partition: Partition, block: int, buffers: BufferPolicy = "own"
) -> None:
    """Give `target` the parameters that `source` has in one block.

    Args:
        source: the network that the parameters come from; it stays as it is.
        target: the network that takes them, in place.
        partition: the blocks of both networks, by the names of their parameters.
        block: number of the block, from 0.
        buffers: what becomes of the buffers (running statistics) of the block's modules: `target` keeps its "own", takes a
            "copy", or both are "average"d into `target`.

    Raises:
        UsageError: an unknown policy, a block that is not there, or networks of different shapes.
    """
    check_policy(buffers)
    _check_block(partition, block)
    ours, theirs = dict(target.named_parameters()), dict(source.named_parameters())
    for name in partition.names[block]:
        if name not in theirs or name not in ours or ours[name].shape != theirs[name].shape:
            raise UsageError(f"{name}: the two networks do not correspond")
        ours[name].copy_(theirs[name])
    move_buffers(source, target, buffer_names(target, partition, block), buffers)


@torch.no_grad()
def swap_block(
    one: nn.Module, other: nn.Module, partition: Partition, block: int, buffers: BufferPolicy = "copy"
) -> None:
    """Exchange one block of two networks; with `buffers="own"` each keeps its running statistics, otherwise they go along."""
    if buffers == "average":
        raise UsageError("buffers average: a swap leaves nothing to average; choose own or copy")
    original = copy.deepcopy(one)
    copy_block(other, one, partition, block, buffers)
    copy_block(original, other, partition, block, buffers)


def buffer_names(model: nn.Module, partition: Partition, block: int) -> list[str]:
    """Buffers that go with a block: of modules that hold parameters of it, and of those without any that lie nearest to it."""
    holders = {name.rpartition(".")[0] for _, names in partition for name in names}
    own = {name.rpartition(".")[0] for name in partition.names[block]}
    buffers = []
    for name, _ in model.named_buffers():
        module = name.rpartition(".")[0]
        if module in own or (module not in holders and _nearest(model, partition, module) == block):
            buffers.append(name)
    return buffers


def _nearest(model: nn.Module, partition: Partition, module: str) -> int:
    """The block of the parameter that shares most of its path with a module; of several, the last one before the module."""
    block_of = {name: block for block, (_, names) in enumerate(partition) for name in names}
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    path = module.split(".")

    def nearness(name: str) -> tuple[int, bool, int]:
        holder = name.rpartition(".")[0]
        pairs = zip(holder.split("."), path, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        before = order.get(holder, 0) <= order[module]
        return shared, before, order.get(holder, 0) if before else -order.get(holder, 0)

    return block_of[max(block_of, key=nearness)]


@torch.no_grad()
def move_buffers(source: nn.Module, target: nn.Module, names: Sequence[str], policy: BufferPolicy) -> None:
    """Buffers of `target` by policy; whole numbers (counters) are copied where others are averaged."""
    if policy == "own":
        return
    ours, theirs = dict(target.named_buffers()), dict(source.named_buffers())
    for name in names:
        if policy == "average" and ours[name].is_floating_point():
            ours[name].lerp_(theirs[name].to(ours[name]), 0.5)
        else:
            ours[name].copy_(theirs[name])


def check_policy(policy: str) -> None:
    """UsageError for another policy."""
    if policy not in POLICIES:
        raise UsageError(f"buffers {policy!r}: choose {', '.join(POLICIES)}")


def _check_block(partition: Partition, block: int) -> None:
    if not 0 <= block < len(partition):
        raise UsageError(f"block {block}: this partition has blocks 0 to {len(partition) - 1}")
