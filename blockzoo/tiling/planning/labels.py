"""What the steps of a plan do, in words."""

from __future__ import annotations

from collections.abc import Iterable

from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.planning.plan import Step


def labels(network: Network, steps: Iterable[Step]) -> tuple[str, ...]:
    """What each step does, for people."""
    texts = []
    for step in steps:
        last = str(network.by_name[step.output])
        first = str(network.by_name[step.operations[0]]) if step.kind == "whole" else ""
        texts.append(
            {
                "whole": f"{first} .. {last}" if first != last else last,
                "tiled": f".. {last}",
                "pooled": f".. {last} (mean)",
            }[step.kind]
        )
    return tuple(texts)
