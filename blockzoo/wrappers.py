"""The names that earlier scripts import. A re-export: the registry itself lives in `core`."""

from __future__ import annotations

from blockzoo.core.contracts import BLOCKS, Block

BLOCK_REGISTRY = BLOCKS
register_block = BLOCKS.register


def list_available_blocks(*, variants: bool = False) -> list[str]:
    """Names of all blocks in alphabetical order; with `variants` also those like `NAME@published`."""
    return BLOCKS.names(variants=variants)


def get_block_class(name: str) -> Block:
    """The class behind a block's name (or alias, or `NAME@variant`).

    Raises:
        UnknownNameError: with the nearest names and the ways to add a block.
    """
    return BLOCKS[name]
