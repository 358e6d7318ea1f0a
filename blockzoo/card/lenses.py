"""What each lens says, as sections of a card's page."""

from __future__ import annotations

from collections.abc import Sequence

from blockzoo.card.celled import share_of_space
from blockzoo.card.isolate import ratio
from blockzoo.card.made import Card
from blockzoo.card.sections import of_text, section, shown
from blockzoo.card.standing import Standing
from blockzoo.card.tiled import FIRST
from blockzoo.core import units
from blockzoo.core.contracts import POSITIONS
from blockzoo.report.site.further import norms, times_as_long
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.site.sketches import heat
from blockzoo.report.site.words import NONE

MODES = {"exact": "exact, halos computed again", "block": "do not see each other"}
TIMED = (
    "In shuffled, interleaved rounds, both deployed and checked for equality. A/A is the first network against a second copy of "
    "itself: its distance from 1 is the noise."
)


def costs(card: Card) -> Markup:
    """On paper, and by operation."""
    done, names = card.done("costs"), (card.asked.name, card.asked.reference)
    if done is None:
        return section("What it costs, and where that goes", card.of("costs"), EMPTY)
    figures, lines = done.made.figures["costs"], []
    for place in POSITIONS:
        own = figures[f"{names[0]}/{place}"]
        macs, params = (
            _times(ratio(figures, names, place, f"stage_{what}")) for what in ("macs", "params_total")
        )
        lines.append(
            (place, units.number(own["stage_macs"]), macs, f"{own['stage_params_total']:,}", params,
             units.size(own["stage_peak_activation_bytes"]), units.number(own["macs"]))
        )  # fmt: skip
    heads = (
        "stage under test",
        "MACs",
        "x reference",
        "parameters",
        "x reference",
        "peak activations",
        "MACs of the network",
    )
    overview = table(f"For one image, beside {shown(names[1])}", heads, lines)
    operations = tag(
        "details", tag("summary", "By operation"), *map(of_text, done.made.figures["operations"])
    )
    return section(done.title, card.of("costs"), joined([overview, operations]))


def _times(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def clocks(card: Card) -> Markup:
    """Times, and what they go to."""
    done, operations = card.done("clocks"), card.done("operations")
    first = section("What it takes on a clock", card.of("clocks"), EMPTY if done is None else _clocked(card))
    tables = joined(map(of_text, operations.made.figures["operations"])) if operations else EMPTY
    return joined([first, section("What its time goes to", card.of("operations"), tables)])


def _clocked(card: Card) -> Markup:
    done = card.done("clocks")
    assert done is not None
    figures = done.made.figures
    times = [
        (shown(f"{row['subject']}, {row['part']}"), row["batch_size"], f"{row['latency_ms']:.4g}{' ?' * bool(row['doubt'])}",
         _ends((row["latency_low_ms"], row["latency_high_ms"]), ".4g"), f"{row['throughput']:,.0f}",
         f"{row['aa_ratio']:.3f}", row["n"])
        for row in figures["timings"]
    ]  # fmt: skip
    ratios = [
        (f"{one['part']}, batch {one['batch']}", f"{one['ratio']:.3f}{' ?' * one['doubted']}",
         _ends(one["interval"], ".3f"), one["n"])
        for one in figures["ratios"].values()
    ]  # fmt: skip
    of_reference = f"As multiples of those of {shown(card.asked.reference)}, round by round"
    heads = ("", "batch", "median ms", "95 % interval", "images/s", "A/A", "n", "doubt")
    every = tag(
        "details",
        tag("summary", "All times"),
        table("Times", heads, times, left=(7,)),
        tag("p", TIMED, class_="small"),
    )
    on = tag("p", shown(f"On {figures['timed_on']}."), class_="quiet")
    return joined([on, table(of_reference, ("", "ratio", "95 % interval", "n"), ratios), every])


def _ends(interval: Sequence[float | None] | None, form: str) -> str:
    if not interval or interval[0] is None or interval[1] is None:
        return NONE
    return f"{interval[0]:{form}} to {interval[1]:{form}}"


def coupling(card: Card) -> Markup:
    """A map of the curvature."""
    done = card.done("coupling")
    if done is None:
        return section("How strongly its network's blocks are coupled", card.of("coupling"), EMPTY)
    figures, labels = done.made.figures, [shown(label) for label in done.made.figures["labels"]]
    within = f"each within {figures['tol']:.0%} of the truth{'' if figures['converged'] else ' where it has converged'}"
    note = (
        "Spectral norms of the blocks of the Hessian of the loss on training examples, "
        f"{within}; on the diagonal the curvature of a block itself."
    )
    body = [
        heat(
            "Coupling of every two blocks of its network: the fuller the colour, the stronger",
            labels,
            figures["sigma"],
        ),
        tag("p", note, class_="small"),
        tag("details", tag("summary", "The numbers"), norms(labels, figures["sigma"])),
    ]
    return section(done.title, card.of("coupling"), joined(body))


def tiles(card: Card) -> Markup:
    """Memory, traffic, time, accuracy."""
    done = card.done("tiles")
    lines = [
        (MODES[mode], units.size(plan["peak_bytes"]), units.size(plan["layer_by_layer_peak_bytes"]),
         f"{plan['macs'] / max(1, plan['layer_by_layer_macs']):.2f}", plan["tiles"],
         units.size(plan["traffic_bytes"]), units.size(plan["layer_by_layer_traffic_bytes"]), times_as_long(plan))
        for mode, plan in (done.made.figures["plans"] if done else {}).items()
    ]  # fmt: skip
    heads = ("tiles", "peak", "layer by layer", "x MACs", "tiles run", "traffic", "layer by layer", "x time")
    what = tag("p", shown(f"The network {done.made.figures['what']}."), class_="quiet") if done else EMPTY
    plans = table("Planned, compared, timed", heads, lines) if lines else EMPTY
    caption = f"Trained on tiles ({card.asked.carding.tiles}) at {FIRST}, less the block itself"
    accuracy = _pair(card.standings.tiled, FIRST, caption, {})
    both = [*card.of("tiles"), *card.of("tiled accuracy")]
    return section("When it is tiled: memory, traffic, time, accuracy", both, joined([what, plans, accuracy]))


def cell(card: Card) -> Markup:
    """Costs, accuracy, and what is known of the operations of the space."""
    done = card.done("cell")
    networks = done.made.figures["networks"] if done else []
    lines = [
        (shown(row["node"]), units.number(row["macs"]), share_of_space(row["share_of_space_with_fewer_macs"]),
         f"{row['params']:,}", share_of_space(row["share_of_space_with_fewer_params"]))
        for row in networks
    ]  # fmt: skip
    heads = ("one node of it in each cell", "MACs", "cheaper networks", "parameters", "smaller networks")
    beside = table("Beside the operations of the space", heads, lines) if lines else EMPTY
    names = {row["subject"]: f"{row['node']} ({row['subject']})" for row in networks}
    accuracy = _pair(
        card.standings.cell, "", "Trained, less the same network of the space's convolutions", names
    )
    both = [*card.of("cell"), *card.of("cell accuracy")]
    return section("As a cell in the macro space", both, joined([beside, accuracy, _effects(card)]))


def _effects(card: Card) -> Markup:
    """Of one more node of each operation of the space."""
    done = card.done("cell")
    if done is None:
        return EMPTY
    of = {(row["operation"], row["stage"]): row for row in done.made.figures["effects"]}
    stages, ops = sorted({stage for _, stage in of}), dict.fromkeys(op for op, _ in of)
    lines = [
        (
            op,
            *(
                f"{of[op, s]['points']:+.2f} \u00b1 {2 * of[op, s]['standard_error_points']:.2f}"
                for s in stages
            ),
        )
        for op in ops
    ]
    heads = ("", *(f"stage {stage}" for stage in stages))
    effect_table = table("Points for one node more, with two standard errors", heads, lines)
    return tag("details", tag("summary", "What the space's own operations add"), effect_table)


def _pair(standing: Standing, place: str, caption: str, names: dict[str, str]) -> Markup:
    """A network less another at one place; empty where it has no training."""
    line, other = standing.lines.get(place), standing.lines_of(standing.reference).get(place)
    if line is None:
        return EMPTY
    against, verdict = line.against or (NONE, "")

    def named(name: str) -> str:
        return shown(names.get(name, name))

    lines = [(named(standing.name), line.accuracy, against, verdict, line.n)]
    if other is not None:
        lines.append((named(standing.reference), other.accuracy, "", "", other.n))
    return table(shown(caption), ("", "accuracy, %", "difference", "verdict", "n"), lines, left=(3,))
