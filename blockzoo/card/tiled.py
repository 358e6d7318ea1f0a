"""Parts of a card by the tile lens: what its network needs in tiles, and what a block on tiles learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from blockzoo.card.desk import Desk
from blockzoo.card.isolate import trained
from blockzoo.card.schedule import Made
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.environment import environment
from blockzoo.core.errors import BlockzooError, reason_of
from blockzoo.core.record import Record
from blockzoo.core.spec import fingerprint_of
from blockzoo.core.units import size
from blockzoo.tiling.planning.stage import Mode

KIND = "tiles"
"""Of the record."""
TIMED = 2.0
"""Seconds for the times of a plan, on the machine that the pace is of."""
FIRST = POSITIONS[0]
"""The position whose maps are the largest."""


def tiled_name(desk: Desk) -> str:
    """The subject on tiles, as a block."""
    return f"tiled:{desk.asked.carding.tiles}:{desk.asked.name}"


class TilePlan:
    """The least memory of the subject's network at early, exact tiles and tiles that do not see each other, traffic and time."""

    name, title, worth = "tiles", "Its network in tiles: memory, traffic, time", 300.0
    after = ("costs",)

    def seconds(self, desk: Desk) -> float:
        """Two plans, each run once and timed."""
        return (10.0 + 2 * TIMED) * desk.pace

    def make(self, desk: Desk, within: float) -> Made:
        figures: dict[str, Any] = {}
        says: list[str] = []
        variants: tuple[tuple[Mode, str], ...] = (("exact", desk.asked.name), ("block", tiled_name(desk)))
        for mode, subject in variants:
            try:
                figures[mode] = self._planned(desk, mode, subject)
            except Exception as error:
                says.append(f"{MODES[mode]}: not possible, {reason_of(error)}")
                continue
            says.append(f"{MODES[mode]}: {_said(figures[mode])}.")
        if not figures:
            raise Untiled("; ".join(says))
        side = desk.asked.carding.plan_size
        line = (
            f"of {desk.asked.name}/{FIRST} in the scaffold, images of {side} x {side}; each plan was compared, and timed in "
            "turns with the network layer by layer"
        )
        return Made({"plans": figures, "what": line}, says, {"runs": len(figures)})

    def _planned(self, desk: Desk, mode: Mode, subject: str) -> dict[str, Any]:
        import torch

        from blockzoo.models.resolve import build_network
        from blockzoo.tiling.planning.planner import plan
        from blockzoo.tiling.planning.proof import proved
        from blockzoo.tiling.planning.traffic import traffic
        from blockzoo.tiling.runtime.timing import time_plan

        side, network = desk.asked.carding.plan_size, desk.network(subject, FIRST)
        model = build_network(network, seed=0).eval()
        image = torch.zeros(1, network.in_channels, side, side)
        tiled = proved(model, plan(model, image, mode=mode))
        times = time_plan(model, tiled, seconds=TIMED * desk.pace)
        ratio, interval = times.ratio
        buffer = tiled.peak_bytes
        ours, layers = traffic(model, tiled, buffer)
        figures = {
            "peak_bytes": tiled.peak_bytes, "layer_by_layer_peak_bytes": tiled.layer_by_layer.peak_bytes,
            "macs": tiled.macs, "layer_by_layer_macs": tiled.layer_by_layer.macs, "tiles": tiled.tiles,
            "buffer_bytes": buffer, "traffic_bytes": ours.total, "layer_by_layer_traffic_bytes": layers.total,
            "memory_checked": tiled.checked, "result_checked": tiled.agreement, "time_ratio": ratio,
            "time_ratio_low": interval and interval[0], "time_ratio_high": interval and interval[1],
        }  # fmt: skip
        spec = {"network": asdict(network), "mode": mode, "image_size": side, "dtype": tiled.dtype}
        record = Record(KIND, fingerprint_of(spec), network.subject, spec)
        record.values, record.environment = dict(figures), environment()
        record.samples = {"tiled_ms": times.tiled_ms, "whole_ms": times.whole_ms}
        desk.store.add(record)
        return figures | {
            "time": str(times),
            "steps": [f"{label}: {step.how}" for label, step in zip(tiled.labels, tiled.steps, strict=True)],
        }


def _said(plan: Mapping[str, Any]) -> str:
    """What a plan needs, beside layer by layer."""
    peak, whole = size(plan["peak_bytes"]), size(plan["layer_by_layer_peak_bytes"])
    more = plan["macs"] / max(1, plan["layer_by_layer_macs"])
    ours, theirs = size(plan["traffic_bytes"]), size(plan["layer_by_layer_traffic_bytes"])
    return (
        f"{peak} at the peak where layer by layer needs {whole}, for {more:.2f} times the MACs; with "
        f"{size(plan['buffer_bytes'])} on chip {ours} go beyond it instead of {theirs}; as PyTorch runs it {plan['time']}"
    )


MODES = {"exact": "Exact tiles, halos computed again", "block": "Tiles that do not see each other"}


class Untiled(BlockzooError):
    """A network that cannot be cut."""


@dataclass(frozen=True)
class TiledTraining:
    """The subject at early trained on tiles that do not see each other.

    Args:
        seed: of the training.
    """

    seed: int

    name = "tiled accuracy"

    @property
    def after(self) -> tuple[str, ...]:
        """The block itself comes first."""
        return ("costs", f"accuracy at {FIRST}, seed {self.seed}")

    @property
    def title(self) -> str:
        """In words."""
        return f"accuracy on tiles at {FIRST}, seed {self.seed}"

    @property
    def worth(self) -> float:
        """Less than the subject's own."""
        return (200.0, 190.0, 100.0)[self.seed] if self.seed < 3 else 10.0

    def _trials(self, desk: Desk) -> list[Any]:
        return [desk.trial(name, FIRST, self.seed) for name in (tiled_name(desk), desk.asked.name)]

    def seconds(self, desk: Desk) -> float:
        """Of what is not known yet."""
        return sum(desk.seconds(trial) for trial in self._trials(desk))

    def make(self, desk: Desk, within: float) -> Made:
        return trained(desk, self._trials(desk), within)
