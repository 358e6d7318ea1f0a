"""One seed from several facts, so that draws for neighbouring ones share nothing."""

from __future__ import annotations

import hashlib


def mixed(*seeds: int) -> int:
    """32 bits from whole numbers, as a seed, a round and a block.

    Examples:
        >>> mixed(0, 1), mixed(1, 0)
        (3278692055, 2238400176)
    """
    digest = hashlib.blake2b("/".join(map(str, seeds)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def seed_of_part(seed: int, part: str) -> int:
    """56 bits from a seed and the name of a part of a network.

    Examples:
        >>> seed_of_part(0, "stem")
        47531750747747547
    """
    digest = hashlib.sha256(f"{seed}/{part}".encode()).digest()
    return int.from_bytes(digest[:7], "little")
