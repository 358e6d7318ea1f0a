"""The published space: 91,125 networks of three stages, and the functions that its scripts call."""

from __future__ import annotations

from functools import cache

from blockzoo.nas.space import Architecture, ArchVector, MacroSpace


@cache
def published_space() -> MacroSpace:
    """The space of 91,125 networks, one object per process."""
    return MacroSpace()


def get_model_hash(arch_vec: Architecture) -> str | None:
    """The published hash of a network of the published space; None where a stage has no path from input to output.

    Computed from the graph (a third of a millisecond) until the table of all hashes exists on this machine.
    """
    space = published_space()
    return space.hash(arch_vec) if space.hashes_are_known() else space.hash_alone(arch_vec)


def get_unique_architectures() -> list[ArchVector]:
    """The canonical vectors of all 91,125 networks, by index."""
    return list(published_space())


def get_random_architectures(n: int, seed: int | None = None) -> list[ArchVector]:
    """Canonical vectors of `n` different networks, drawn uniformly."""
    space = published_space()
    return [space.arch_vec(int(index)) for index in space.sample(n, seed)]
