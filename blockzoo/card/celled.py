"""Parts of a card by the compose lens: the subject as the one node of each cell of a network of the macro space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blockzoo.card.desk import Desk
from blockzoo.card.isolate import command, trained
from blockzoo.card.schedule import Made

WIDTH = 8
"""Channels of the first stage: a quarter of the published ones."""


def cell_name(block: str) -> str:
    """The network with a block in each cell."""
    return f"celled:{WIDTH}:{block}"


def operations() -> dict[str, str]:
    """The networks with one node of an operation of the space in each cell, by its name."""
    from blockzoo.nas.space.published import published_space
    from blockzoo.nas.training.cells import cell_of_one

    return {op: f"macro:{cell_of_one(op)}@{WIDTH}" for op in published_space().ops}


def share_of_space(share: float) -> str:
    """Of its networks, in percent.

    Examples:
        >>> share_of_space(0.0), share_of_space(0.00004), share_of_space(0.125)
        ('none', 'under 0.1%', '12.5%')
    """
    return "none" if share == 0 else "under 0.1%" if share < 0.001 else f"{share:.1%}"


class CellCosts:
    """What the network costs beside those of the operations of the space, and beside all of its networks."""

    name, title, worth = "cell", "As a cell of the macro space", 150.0
    after = ("costs",)

    def seconds(self, desk: Desk) -> float:
        """Nothing is computed."""
        return 3.0 * desk.pace

    def make(self, desk: Desk, within: float) -> Made:
        from blockzoo.nas.space.costs import Skeleton, static_info
        from blockzoo.profile import profile_block

        channels, side, _ = desk.images.shape
        classes = desk.images.num_classes
        params, macs = static_info(None, Skeleton(WIDTH, 1, classes, side, channels))
        networks = {desk.asked.name: cell_name(desk.asked.name), **operations()}
        rows: list[dict[str, Any]] = []
        for name, subject in networks.items():
            costs = profile_block(
                subject, out_dim=classes, input_shape=(1, channels, side, side), memory=False
            ).network
            rows.append({
                "node": name, "subject": subject, "macs": costs.macs, "params": costs.params_trained,
                "share_of_space_with_fewer_macs": float((macs < costs.macs).mean()),
                "share_of_space_with_fewer_params": float((params < costs.params_trained).mean()),
            })  # fmt: skip
        fewer, smaller = (
            share_of_space(rows[0][f"share_of_space_with_fewer_{what}"]) for what in ("macs", "params")
        )
        says = [
            f"With {desk.asked.name} as the one node of each cell, {fewer} of the {len(macs):,} networks of the space, most of "
            f"which have two nodes in a cell, cost fewer multiply-adds, and {smaller} have fewer parameters."
        ]
        effects, note = self._effects()
        line = command(
            "profile", *networks.values(), "--input-shape", "1", *map(str, desk.images.shape), desk=desk
        )
        return Made({"networks": rows, "effects": effects}, [*says, note], {"networks": len(macs)}, line)

    def _effects(self) -> tuple[list[dict[str, Any]], str]:
        """Of one more node of each operation, in the bundled benchmark of trained networks."""
        from blockzoo.nas.benchmark.loading import load
        from blockzoo.nas.ranking.operations import operation_effects

        fit = operation_effects(load("mini"))
        rows = [
            {
                "operation": op,
                "stage": stage + 1,
                "points": 100 * value,
                "standard_error_points": 100 * fit.errors[op, stage],
            }
            for (op, stage), value in fit.effects.items()
        ]
        return rows, (
            f"What one node more of the space's own operations adds is from {fit.networks} networks of the bundled benchmark "
            "mini, trained on CIFAR-10; it says nothing of this block."
        )


@dataclass(frozen=True)
class CellTraining:
    """The network with the subject in each cell, and the one with the space's own convolutions there, from one seed.

    Args:
        seed: of both.
    """

    seed: int

    name = "cell accuracy"
    after = ("costs",)

    @property
    def title(self) -> str:
        """In words."""
        return f"accuracy as a cell, seed {self.seed}"

    @property
    def worth(self) -> float:
        """Less than the subject's in the scaffold."""
        return (200.0, 190.0, 80.0)[self.seed] if self.seed < 3 else 10.0

    def _trials(self, desk: Desk) -> list[Any]:
        return [
            desk.trial(name, None, self.seed) for name in (cell_name(desk.asked.name), operations()["conv"])
        ]

    def seconds(self, desk: Desk) -> float:
        """Of what is not known yet."""
        return sum(desk.seconds(trial) for trial in self._trials(desk))

    def make(self, desk: Desk, within: float) -> Made:
        return trained(desk, self._trials(desk), within)
