"""A card as one self-contained page, in the style and under the policy of the pages of a site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.card.block import graph_markup
from blockzoo.card.evidence import accuracies, evidence_of
from blockzoo.card.isolate import ratio
from blockzoo.card.made import Card
from blockzoo.card.schedule import Outcome, in_words
from blockzoo.card.sections import nothing, section
from blockzoo.core import units
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.text import plain
from blockzoo.report.site.cards import card_of, cited
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag
from blockzoo.report.site.shell import Shell
from blockzoo.report.site.sketches import heat
from blockzoo.report.site.words import NONE

STATUS = {"done": "done", "no time": "left out", "cannot": "not possible"}


def page_of(card: Card, address: str, made: str) -> str:
    """The whole text of the page.

    Args:
        card: what it shows.
        address: its file name.
        made: when and by what.
    """
    name = plain(card.asked.name, lines=False)
    frame = Shell(f"Card of {name}", plain(made, lines=False), [], address)
    parts = (
        _head,
        accuracies,
        _costs,
        _clocks,
        _coupling,
        _tiles,
        _cell,
        _what_it_is,
        evidence_of,
        _parts,
        _provenance,
    )
    return frame.page(frame.title, joined(part(card) for part in parts), here=address)


def _head(card: Card) -> Markup:
    first, *rest = card.answer
    left_out = [one for one in card.missing if one.status == "no time"]
    refused = [one for one in card.missing if one.status == "cannot"]
    told = f"Made in {card.told}."
    if left_out:
        told += f" Left out for want of time: {', '.join(dict.fromkeys(one.title for one in left_out))}."
    if refused:
        told += f" Not possible with this block: {', '.join(dict.fromkeys(one.title for one in refused))}."
    known = card_of(card.asked.name)
    sentence = known.sentence if known else "A block that is not of the zoo."
    return joined(
        [
            tag("h1", plain(card.asked.name, lines=False)),
            tag("p", sentence, class_="quiet"),
            tag("p", plain(first, lines=False), class_="answer"),
            *(tag("p", plain(one, lines=False)) for one in rest),
            tag(
                "p",
                plain(told, lines=False),
                tag("a", " What was measured, and what was not.", href="#parts"),
                class_="small",
            ),
        ]
    )


def _costs(card: Card) -> Markup:
    outcomes = card.of("costs")
    done = card.done("costs")
    if done is None:
        return section("What it costs, and where that goes", outcomes, EMPTY)
    costs, names = done.made.figures["costs"], (card.asked.name, card.asked.reference)
    lines = []
    for place in POSITIONS:
        own = costs[f"{names[0]}/{place}"]
        lines.append(
            (place, units.number(own["stage_macs"]), _times(ratio(costs, names, place, "stage_macs")), f"{own['stage_params_total']:,}",
             _times(ratio(costs, names, place, "stage_params_total")), units.size(own["stage_peak_activation_bytes"]),
             units.number(own["macs"]))
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
    shown = table(f"For one image, beside {plain(names[1], lines=False)}", heads, lines)
    operations = [_of_text(one) for one in done.made.figures["operations"]]
    return section(
        done.title, outcomes, joined([shown, tag("details", tag("summary", "By operation"), *operations)])
    )


def _times(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _of_text(made: dict[str, Any]) -> Markup:
    lines = [[plain(str(cell), lines=False) for cell in line] for line in made["lines"]]
    return table(plain(made["title"], lines=False), made["columns"], lines)


def _clocks(card: Card) -> Markup:
    outcomes, done = card.of("clocks"), card.done("clocks")
    operations = card.done("operations")
    if done is None:
        return section("What it takes on a clock", outcomes, EMPTY)
    lines = [
        (plain(f"{row['subject']}, {row['part']}", lines=False), row["batch_size"], f"{row['latency_ms']:.4g}{' ?' * bool(row['doubt'])}",
         f"{row['latency_low_ms']:.4g} to {row['latency_high_ms']:.4g}" if row["latency_low_ms"] else NONE,
         f"{row['throughput']:,.0f}", f"{row['aa_ratio']:.3f}", row["n"])
        for row in done.made.figures["timings"]
    ]  # fmt: skip
    heads = ("", "batch", "median ms", "95 % interval", "images/s", "A/A", "n")
    told = (
        "In shuffled, interleaved rounds, both deployed and checked for equality. A/A is the first network against a second copy of "
        "itself: its distance from 1 is the noise."
    )
    ratios = [
        (
            name.replace("_batch", ", batch "),
            f"{one['ratio']:.3f}",
            f"{one['interval'][0]:.3f} to {one['interval'][1]:.3f}" if one["interval"] else NONE,
            one["n"],
        )
        for name, one in done.made.figures["ratios"].items()
    ]
    body = [
        tag("p", plain(f"On {done.made.figures['timed_on']}.", lines=False), class_="quiet"),
        table(
            f"Times as multiples of those of {plain(card.asked.reference, lines=False)}, round by round",
            ("", "ratio", "95 % interval", "n"),
            ratios,
        ),
        tag(
            "details",
            tag("summary", "All times"),
            table("Times", heads, lines),
            tag("p", told, class_="small"),
        ),
    ]
    made = section(done.title, outcomes, joined(body))
    if operations is None:
        return joined([made, section("What its time goes to", card.of("operations"), EMPTY)])
    return joined(
        [
            made,
            section(
                operations.title,
                card.of("operations"),
                joined(_of_text(one) for one in operations.made.figures["operations"]),
            ),
        ]
    )


def _coupling(card: Card) -> Markup:
    outcomes, done = card.of("coupling"), card.done("coupling")
    if done is None:
        return section("How strongly its network's blocks are coupled", outcomes, EMPTY)
    figures = done.made.figures
    labels = [plain(label, lines=False) for label in figures["labels"]]
    lines = [
        (label, *(f"{value:.3g}" for value in row))
        for label, row in zip(labels, figures["sigma"], strict=True)
    ]
    told = (
        f"Spectral norms of the blocks of the Hessian of the loss on training examples, each within {figures['tol']:.0%} "
        f"of the truth{'' if figures['converged'] else ', but for those that have not converged'}; on the diagonal the curvature of a block itself."
    )
    body = [
        heat("Coupling of every two blocks, darker is stronger", labels, figures["sigma"]),
        tag("p", told, class_="small"),
        tag(
            "details",
            tag("summary", "The numbers"),
            table("Spectral norms", ("", *map(str, range(len(labels)))), lines),
        ),
    ]
    return section(done.title, outcomes, joined(body))


def _tiles(card: Card) -> Markup:
    outcomes, done = card.of("tiles"), card.done("tiles")
    lines = []
    for mode, plan in (done.made.figures["plans"] if done else {}).items():
        lines.append(
            (MODES[mode], units.size(plan["peak_bytes"]), units.size(plan["layer_by_layer_peak_bytes"]),
             f"{plan['macs'] / max(1, plan['layer_by_layer_macs']):.2f}", plan["tiles"],
             units.size(plan["traffic_bytes"]), units.size(plan["layer_by_layer_traffic_bytes"]))
        )  # fmt: skip
    heads = ("tiles", "peak", "layer by layer", "x MACs", "tiles run", "traffic", "layer by layer")
    plans = table("Planned, run once, compared", heads, lines) if lines else EMPTY
    what = (
        tag("p", plain(f"The network {done.made.figures['what']}.", lines=False), class_="quiet")
        if done
        else EMPTY
    )
    standing = card.standings.tiled
    accuracy = _difference(
        card,
        standing,
        "early",
        card.of("tiled accuracy"),
        f"Trained on tiles ({card.asked.carding.tiles}) at early, less the block itself",
    )
    title = "When it is tiled: memory, traffic, accuracy"
    return section(title, [*outcomes, *card.of("tiled accuracy")], joined([what, plans, accuracy]))


MODES = {"exact": "exact, halos computed again", "block": "do not see each other"}


def _difference(card: Card, standing: Any, place: str, outcomes: Sequence[Outcome], caption: str) -> Markup:
    """A block less its reference at one place."""
    line, difference = standing.lines.get(place), standing.differences.get(place)
    if line is None:
        return nothing(outcomes)
    against, verdict = line.against or (NONE, "")
    other = standing.lines_of(standing.reference).get(place)
    lines = [
        (plain(standing.name, lines=False), line.accuracy, against, verdict, line.n),
        (
            plain(standing.reference, lines=False),
            other.accuracy if other else NONE,
            "",
            "",
            other.n if other else 0,
        ),
    ]
    del difference
    return table(
        plain(caption, lines=False), ("", "accuracy, %", "difference", "verdict", "n"), lines, left=(3,)
    )


def _cell(card: Card) -> Markup:
    outcomes, done = card.of("cell"), card.done("cell")
    lines = [
        (plain(row["node"], lines=False), units.number(row["macs"]), f"{row['share_of_space_with_fewer_macs']:.0%}",
         f"{row['params']:,}", f"{row['share_of_space_with_fewer_params']:.0%}")
        for row in (done.made.figures["networks"] if done else [])
    ]  # fmt: skip
    heads = ("one node of it in each cell", "MACs", "cheaper networks", "parameters", "smaller networks")
    shown = table("Beside the operations of the space", heads, lines) if lines else EMPTY
    effects = done.made.figures["effects"] if done else []
    ops = dict.fromkeys(row["operation"] for row in effects)
    of = {(row["operation"], row["stage"]): row for row in effects}
    stages = sorted({row["stage"] for row in effects})
    more = [
        (
            op,
            *(
                f"{of[op, s]['points']:+.2f} \u00b1 {2 * of[op, s]['standard_error_points']:.2f}"
                for s in stages
            ),
        )
        for op in ops
    ]
    told = tag("details", tag("summary", "What the space's own operations add"), table(
        "Points for one node more, with two standard errors", ("", *(f"stage {s}" for s in stages)), more)) if more else EMPTY  # fmt: skip
    standing = card.standings.cell
    accuracy = _difference(
        card,
        standing,
        "",
        card.of("cell accuracy"),
        "Trained, less the same network of the space's convolutions",
    )
    return section(
        "As a cell in the macro space",
        [*outcomes, *card.of("cell accuracy")],
        joined([shown, accuracy, told]),
    )


def _what_it_is(card: Card) -> Markup:
    known, done = card_of(card.asked.name), card.done("block")
    parts: list[Markup] = []
    if known is not None:
        parts += [tag("p", caveat) for caveat in known.caveats]
        parts += [tag("p", cited(known.source), class_="quiet")] if known.source else []
    if done is not None:
        parts += [
            Markup(done.made.pictures["card"]),
            graph_markup(done.made.pictures["graph"], plain(done.made.figures["graph"], lines=False)),
        ]
    if known is not None:
        parts.append(
            tag(
                "details",
                tag("summary", f"Code, {known.module}"),
                tag("pre", tag("code", known.code), tabindex=0),
            )
        )
    return section("What it is", card.of("block"), joined(parts))


def _parts(card: Card) -> Markup:
    lines = [
        (
            plain(one.title, lines=False),
            STATUS[one.status],
            _counted(one),
            _seconds(one.estimated_s),
            _seconds(one.took_s),
            plain(one.why, lines=False),
        )
        for one in card.outcomes
    ]
    heads = ("part", "", "n", "estimated", "took", "why not")
    told = (
        f"Parts are made in the order of what they are worth for their seconds, each estimated before it. The time counts from the start "
        f"of the command; {card.told} are over."
    )
    return tag(
        "section",
        tag("h2", "What was measured, and what was not", id="parts"),
        tag("p", told),
        table("Parts", heads, lines, left=(1, 2, 5)),
    )


def _counted(outcome: Outcome) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in outcome.made.n.items())


def _seconds(value: float | None) -> str:
    return NONE if value is None else in_words(value)


def _provenance(card: Card) -> Markup:
    pairs = [(name, plain(value, lines=False)) for name, value in card.provenance.items()]
    return tag("section", tag("h2", "Where the figures come from"), facts(pairs))
