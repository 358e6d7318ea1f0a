"""blocks: the blocks of the zoo, and your own"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import Without
from blockzoo.core import typeset as t
from blockzoo.core.errors import UsageError


def blocks(
    name: Annotated[str | None, Parameter(help="show all there is to know of this one")] = None,
    *,
    variants: Annotated[bool, Parameter(help="also NAME@variant", negative=()), Without("NAME")] = False,
    duplicates: Annotated[
        bool,
        Parameter(
            help="the pairs that are one block under two names: equal costs, the same graph", negative=()
        ),
        Without("NAME"),
    ] = False,
    picture: Annotated[
        Path | None, Parameter(help="draw the graph of this one to a file (.png, .svg, .pdf)")
    ] = None,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> None:
    """List the blocks that a command can name, or show one: its paper, its size over widths, its reach and signals.

    Examples:
        blockzoo blocks
        blockzoo blocks InvertedResidual --picture block.svg
    """
    from blockzoo.core.contracts import BLOCKS, HOW_TO_ADD_A_BLOCK

    if name is not None:
        _show_card(name, format, output)
        if picture is not None:
            from blockzoo.measure.block_graph import block_graph
            from blockzoo.report.pictures.block_graph import draw_block

            screen.out.print(
                f"picture   {draw_block(block_graph(name), picture)}", soft_wrap=True, markup=False
            )
        return
    if picture is not None:
        raise UsageError(
            "a picture is of one block: name it, as in blockzoo blocks InvertedResidual --picture block.svg"
        )
    if duplicates:
        _show_duplicates(BLOCKS.names(variants=variants), format, output)
        return
    rows = [
        {"block": name, "summary": BLOCKS.summary(name), "from": BLOCKS.origin(name)}
        for name in BLOCKS.names(variants=variants)
    ]
    table = screen.table(
        "", ["block", t.prose("what it is", t.KEY)], [(r["block"], r["summary"]) for r in rows]
    )
    screen.show(table, rows, format, output)
    screen.out.print(HOW_TO_ADD_A_BLOCK)


def _show_duplicates(names: list[str], format: str, output: Path | None) -> None:
    from blockzoo.measure.duplicates import SIDE, WITHIN, near_duplicates

    screen.check_output(output)
    twins = near_duplicates(names)
    lines = [(*pair.names, f"{pair.macs[0]:,}", f"{pair.macs[1]:,}") for pair in twins]
    caption = (
        f"{len(twins)} pairs of {len(names)} blocks have equal multiply-adds (within {100 * WITHIN:g} %) and the same "
        f"operations, on maps of {SIDE} x {SIDE}"
    )
    columns = ["block", t.name("is also"), "multiply-adds", "of the other"]
    rows = [
        {"block": p.names[0], "other": p.names[1], "macs": p.macs[0], "other_macs": p.macs[1]} for p in twins
    ]
    screen.show(screen.table("", columns, lines, caption), rows, format, output)


def _show_card(name: str, format: str, output: Path | None) -> None:
    from dataclasses import asdict

    from blockzoo.measure.card import DRAWS, SIDE, card_of

    screen.check_output(output)
    card = card_of(name)
    reach = "the whole map" if card.reach.side is None else f"{card.reach.side} x {card.reach.side} inputs"
    paragraphs = [
        card.name,
        card.sentence,
        *card.caveats,
        card.source and f"Source: {card.source}",
        f"Reach: the output in the middle of a map depends on {reach}; 95 % of its gradient at the start lies within "
        f"{card.reach.effective} x {card.reach.effective} (median of {DRAWS} draws).",
        f"Signals at the start: unit normal inputs leave with standard deviation {card.signal.forward:.2f}, unit normal "
        f"gradients arrive with {card.signal.backward:.2f}.",
    ]
    for text in filter(None, paragraphs):
        screen.out.print(text, end="\n\n")
    lines = [
        (str(size.width), size.refused, "", "")
        if size.refused
        else (str(size.width), f"{size.trained:,}", f"{size.deployed:,}", f"{size.macs / 1e6:,.2f} M")
        for size in card.sizes
    ]
    columns = ["width", "parameters, trained", "deployed", "multiply-adds"]
    caption = f"of a block that keeps its shape, on {SIDE} x {SIDE}"
    table = screen.table("", columns, lines, caption)
    rows = [
        {"block": card.name, "sentence": card.sentence, "source": card.source, **asdict(size)}
        | {f"reach_{key}": value for key, value in asdict(card.reach).items()}
        | {f"signal_{key}": value for key, value in asdict(card.signal).items()}
        for size in card.sizes
    ]
    screen.show(table, rows, format, output)
