"""What is measured of a block of the zoo for its page: size, reach, signals, its graph, and its costs by operation."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from blockzoo.core.checked import settings_of
from blockzoo.core.errors import BlockzooError
from blockzoo.core.settings import Scaffold
from blockzoo.core.table import Row
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag

log = logging.getLogger(__name__)


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
    from blockzoo.measure.card import DRAWS, SIDE, card_of

    card = card_of(block)
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
    told = [
        ("reach", reach),
        ("effective reach", effective),
        ("signal forward", f"{card.signal.forward:.2f} for 1"),
        ("signal backward", f"{card.signal.backward:.2f} for 1"),
    ]
    caption = f"A block that keeps its shape, on {SIDE} x {SIDE}"
    return tag(
        "details", tag("summary", "Size, reach and signals"), facts(told), table(caption, heads, lines)
    )


def _graph(block: str, row: Row) -> Markup:
    """The picture stands in the page, as an image without scripts or requests."""
    from blockzoo.measure.block_graph import block_graph
    from blockzoo.report.pictures.block_graph import draw_block

    graph = block_graph(block)
    with TemporaryDirectory() as folder:
        path = draw_block(graph, Path(folder) / "block.svg")
        address = f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"
    told = f"Graph of {block}: {graph.operations} operations, {len(graph.boxes)} boxes"
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
    told = f"Of the stage under test, one image of {side} x {side}, on paper."
    parts = tag("p", why(subject, operations)), tag("p", told, class_="small")
    return tag("details", tag("summary", "Costs by operation"), *parts, *(tables or [EMPTY]))
