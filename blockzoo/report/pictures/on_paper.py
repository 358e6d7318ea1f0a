"""What a network costs on paper: the share of its stage under test, or its memory; and the operations that the costs are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.core.roofline import KINDS, Operation
from blockzoo.core.text import picture
from blockzoo.core.units import number, size
from blockzoo.report.pictures.frame import Frame, round_ticks, tidy
from blockzoo.report.pictures.looks import COLOURS, INK

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

LABELS = {
    "params_total": "parameters",
    "macs": "MACs",
    "model_bytes": "bytes of the model",
    "peak_activation_bytes": "peak of activations",
    "saved_activation_bytes": "kept for backward",
}
"""The costs that are drawn, and how they are called."""


def draw_costs(
    subject: str, network: Mapping[str, Any], stage: Mapping[str, Any] | None, note: str = ""
) -> Figure:
    """The share that the stage under test has of each cost; of a network without one its bytes.

    Args:
        subject: what it is of.
        network: its costs, by name.
        stage: those of its stage under test, by name; None: it has none.
        note: how it was measured.
    """
    names = [name for name in LABELS if network.get(name)]
    if stage is None:
        names = [name for name in names if "bytes" in name]
    totals = f"{number(network['params_total'])} parameters, {number(network['macs'])} MACs"
    question = f"{subject}: " + (
        "what of each cost is the stage's" if stage is not None else "the memory it needs"
    )
    figure, (axes,) = Frame(question, totals, note).figure((6.4, 0.42 * len(names) + 0.9))
    for place, name in enumerate(names):
        whole = network[name]
        if stage is None:
            value, text = whole / 2**20, f" {size(whole)}"
        else:
            own = stage.get(name) or 0
            value, text = 100 * own / whole, f" {_read(name, own)} of {_read(name, whole)}"
        axes.barh(place, value, height=0.62, color=COLOURS[0])
        axes.text(value, place, text, va="center", fontsize=8, color=INK, clip_on=False)
    _finish(axes, [LABELS[name] for name in names])
    axes.set_xlabel("MiB" if stage is None else "share of the stage under test, %", fontsize=8.5)
    return figure


def draw_kinds(subject: str, operations: Sequence[Operation], part: str, note: str = "") -> Figure:
    """The shares of MACs and of bytes that each kind of operation has.

    Args:
        subject: what they are of.
        operations: of one call.
        part: stage or network.
        note: how they were counted.
    """
    kinds = [kind for kind in KINDS if any(one.kind == kind and one.bytes_moved for one in operations)]
    macs, moved = (sum(values) for values in zip(*((o.macs, o.bytes_moved) for o in operations), strict=True))
    totals = f"{part}: {len(operations)} operations, {number(macs)} MACs, {size(moved)} moved"
    question = f"{subject}: which operations its costs are of"
    figure, panels = Frame(question, totals, note).figure((7.6, 0.34 * len(kinds) + 0.9), (1, 2), sharey=True)
    for axes, name, total in zip(panels, ("MACs", "bytes moved"), (macs, moved), strict=True):
        for place, kind in enumerate(kinds):
            of_kind = [
                one.macs if name == "MACs" else one.bytes_moved for one in operations if one.kind == kind
            ]
            share = 100 * sum(of_kind) / max(1, total)
            axes.barh(place, share, height=0.62, color=COLOURS[KINDS.index(kind) % len(COLOURS)])
            axes.text(share, place, f" {share:.0f}", va="center", fontsize=8, color=INK)
        _finish(axes, kinds)
        axes.set_xlabel(f"share of the {name}, %", fontsize=8.5)
    return figure


def _read(name: str, value: float) -> str:
    return size(value) if "bytes" in name else number(value)


def _finish(axes: Any, names: Sequence[str]) -> None:
    tidy(axes)
    axes.set_yticks(range(len(names)), [picture(name) for name in names], fontsize=8.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.28)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    round_ticks(axes.xaxis)
