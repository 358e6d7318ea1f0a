"""What is measured of a block for a page: size, reach, signals, its graph, and its costs by operation."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from blockzoo.card.desk import Desk
from blockzoo.card.isolate import command
from blockzoo.card.schedule import Made
from blockzoo.core.checked import settings_of
from blockzoo.core.errors import BlockzooError
from blockzoo.core.settings import Scaffold
from blockzoo.core.table import Row
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag

if TYPE_CHECKING:
    from blockzoo.measure.card import BlockCard

log = logging.getLogger(__name__)


class WhatItIs:
    """Size over widths, reach, signals, and the graph."""

    name, title, worth = "block", "Size, reach, signals and graph", 60.0
    after = ("costs",)

    def seconds(self, desk: Desk) -> float:
        """Some passes through a block and its gradients, and a picture."""
        return 4.0 * desk.pace

    def make(self, desk: Desk, within: float) -> Made:
        from blockzoo.measure.block_graph import block_graph
        from blockzoo.measure.card import DRAWS, card_of
        from blockzoo.report.pictures.block_graph import draw_block

        card, graph = card_of(desk.asked.name), block_graph(desk.asked.name)
        with TemporaryDirectory() as folder:
            pictures = {"graph": inline(draw_block(graph, Path(folder) / "block.svg"))}
        caption = f"Graph of {card.name}: {graph.operations} operations, {len(graph.boxes)} boxes"
        line = command("blocks", desk.asked.name, desk=desk)
        pictures["card"] = card_markup(card)
        return Made({"card": asdict(card), "graph": caption}, [], {"draws": DRAWS}, line, pictures)


def measured(block: str, row: Row) -> Markup:
    """Parts of the page of a block; one that cannot be measured says why.

    Args:
        block: of the zoo.
        row: one of its trainings, whose scaffold and images are meant.
    """
    return joined([_or_why(_card, block, row), _or_why(_graph, block, row), _or_why(_operations, block, row)])


def _or_why(part: Callable[[str, Row], Markup], block: str, row: Row) -> Markup:
    try:
        return part(block, row)
    except BlockzooError as error:
        log.warning("%s: %s", block, error)
        return tag("p", f"Not measured: {error}", class_="quiet")


def _card(block: str, row: Row) -> Markup:
    from blockzoo.measure.card import card_of

    return card_markup(card_of(block))


def card_markup(card: BlockCard) -> Markup:
    """Size over widths, reach and signals, to be opened."""
    from blockzoo.measure.card import DRAWS, SIDE

    reach = "the whole map" if card.reach.side is None else f"{card.reach.side} x {card.reach.side} inputs"
    effective = (
        f"{card.reach.effective} x {card.reach.effective} (95 % of the gradient, median of {DRAWS} draws)"
    )
    lines = [
        (size.width, size.refused, "", "")
        if size.refused
        else (size.width, f"{size.trained:,}", f"{size.deployed:,}", f"{size.macs / 1e6:,.2f} M")
        for size in card.sizes
    ]
    heads = ("width", "parameters, trained", "deployed", "MACs")
    properties = [
        ("reach", reach),
        ("effective reach", effective),
        ("signal forward", f"{card.signal.forward:.2f} for 1"),
        ("signal backward", f"{card.signal.backward:.2f} for 1"),
    ]
    caption = f"A block that keeps its shape, on {SIDE} x {SIDE}"
    return tag(
        "details", tag("summary", "Size, reach and signals"), facts(properties), table(caption, heads, lines)
    )


def _graph(block: str, row: Row) -> Markup:
    """The picture stands in the page, as an image without scripts or requests."""
    from blockzoo.measure.block_graph import block_graph
    from blockzoo.report.pictures.block_graph import draw_block

    graph = block_graph(block)
    with TemporaryDirectory() as folder:
        address = inline(draw_block(graph, Path(folder) / "block.svg"))
    caption = f"Graph of {block}: {graph.operations} operations, {len(graph.boxes)} boxes"
    return graph_markup(address, caption)


def inline(path: Path) -> str:
    """The address of an SVG that stands in the page itself."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def graph_markup(address: str, told: str) -> Markup:
    """The picture of a graph, to be opened.

    Args:
        address: see `inline`.
        told: what it shows.
    """
    return tag("details", tag("summary", "Graph"), tag("img", src=address, alt=told, class_="graph"))


def _operations(block: str, row: Row) -> Markup:
    from blockzoo.operations import profile_operations
    from blockzoo.report.operation_tables import paper_tables
    from blockzoo.report.why import why

    settings = {name: row[name] for name in settings_of(Scaffold) if row.get(name) is not None}
    side = int(row.get("image_size") or 32)
    place = str(row.get("position") or "mid")
    profile = profile_operations(block, place, input_shape=(1, 3, side, side), **settings)
    operations = profile.of()
    subject = f"{block}/{place}"
    tables = [table(lines.title, lines.columns, lines.lines) for lines in paper_tables(subject, operations)]
    note = f"Of the stage under test, one image of {side} x {side}, on paper."
    parts = tag("p", why(subject, operations)), tag("p", note, class_="small")
    return tag("details", tag("summary", "Costs by operation"), *parts, *(tables or [EMPTY]))
