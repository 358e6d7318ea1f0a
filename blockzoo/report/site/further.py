"""Pages of the other lenses, where a store has them: block-wise runs, coupling maps, plans in tiles, a search space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.core.text import plain
from blockzoo.core.units import size
from blockzoo.report.comparable import Comparable
from blockzoo.report.comparison import compare
from blockzoo.report.groups import describe_group, is_number
from blockzoo.report.site.lenses import runs_body
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.site.sketches import heat
from blockzoo.report.site.space import AddedUp, Searches, space_body
from blockzoo.report.site.words import NONE, figure


@dataclass(frozen=True)
class Further:
    """What a store has of other lenses.

    Args:
        maps: records of coupling maps.
        plans: records of plans in tiles.
        runs: records of block-wise runs.
        on_tiles: how names of blocks on tiles begin, up to their colon.
        of_space: how names of networks of a search space begin.
        searches: comparisons of search algorithms.
        added: times of networks as sums of their parts.
    """

    maps: Sequence[Record] = ()
    plans: Sequence[Record] = ()
    runs: Sequence[Record] = ()
    on_tiles: str = ""
    of_space: str = ""
    searches: Sequence[Searches] = ()
    added: Sequence[AddedUp] = ()

    def pages(self, groups: Sequence[Comparable]) -> list[tuple[str, str, Markup]]:
        """Address, words and body of each page; empty bodies of those that have nothing to show.

        Args:
            groups: of trainings.
        """
        return [
            ("runs.html", "Block-wise", runs_body(self.runs)),
            ("space.html", "Search space", space_body(groups, self.of_space, self.searches, self.added)),
            ("coupling.html", "Coupling", coupling_body(self.maps)),
            ("tiles.html", "In tiles", tiles_body(self.plans, groups, self.on_tiles)),
        ]


def coupling_body(maps: Sequence[Record]) -> Markup:
    """How strongly the blocks of networks are coupled; empty where there is no map."""
    body = []
    for record in maps:
        labels = [plain(str(label), lines=False) for label in record.spec.get("labels") or ()]
        count, flat = len(labels), record.samples.get("sigma", [])
        if not count or len(flat) != count * count:
            continue
        numbers = [value if is_number(value) else None for value in flat]
        sigma = [numbers[row * count : (row + 1) * count] for row in range(count)]
        facts = [
            f"weights: {record.spec.get('weights', NONE)}",
            f"{record.spec.get('examples', NONE)} training examples of {record.spec.get('dataset', NONE)}",
        ]
        converged, within = (
            record.values.get("converged"),
            f"within {record.spec.get('tol', NONE)} of the truth",
        )
        facts.append(within if converged else f"not converged, so lower bounds: {record.reason}")
        about = plain("; ".join(facts), lines=False)
        body.append(
            tag(
                "section", tag("h2", plain(record.subject, lines=False)), tag("p", about, class_="small"),
                heat("Coupling of every two blocks: the fuller the colour, the stronger", labels, sigma),
                tag("details", tag("summary", "The numbers"), norms(labels, sigma)),
            )
        )  # fmt: skip
    lead = "Spectral norms of the blocks of the Hessian of the loss, for every two blocks of a network."
    return joined([tag("h1", "Coupling of blocks"), tag("p", lead, class_="lead"), *body]) if body else EMPTY


def norms(labels: Sequence[str], sigma: Sequence[Sequence[float | None]]) -> Markup:
    """The numbers of a coupling map as a table; a dash for one that is not known."""
    lines = [
        (label, *(figure(value, ".3g") for value in row)) for label, row in zip(labels, sigma, strict=True)
    ]
    return table("Spectral norms", ("", *map(str, range(len(labels)))), lines)


def tiles_body(plans: Sequence[Record], groups: Iterable[Comparable], prefix: str) -> Markup:
    """What networks need in tiles, and what tiles that do not see each other cost in accuracy; empty where nothing is known."""
    lines = [_plan(record) for record in plans if is_number(record.values.get("peak_bytes"))]
    heads = (
        "network",
        "tiles",
        "image",
        "peak",
        "layer by layer",
        "x MACs",
        "tiles run",
        "traffic",
        "layer by layer",
        "x time",
    )
    parts = (
        [
            table(
                "Plans, each run once and compared; times in turns with the network layer by layer, by PyTorch",
                heads,
                lines,
                left=(1, 2),
            )
        ]
        if lines
        else []
    )
    compared = [line for of in groups for line in _on_tiles(of, prefix)] if prefix else []
    if compared:
        columns = ("on tiles", "table", "position", "less the block itself, points", "verdict", "n")
        parts.append(table("Trained on tiles that do not see each other", columns, compared, left=(1, 2, 4)))
    lead = "Memory, traffic, time and accuracy of networks that are cut into spatial tiles."
    return joined([tag("h1", "In tiles"), tag("p", lead, class_="lead"), *parts]) if parts else EMPTY


def _plan(record: Record) -> tuple[object, ...]:
    values = {name: value for name, value in record.values.items() if is_number(value)}
    side, macs, layers = (
        record.spec.get("image_size", NONE),
        values.get("macs"),
        values.get("layer_by_layer_macs"),
    )
    more = NONE if macs is None or layers is None else f"{macs / max(1, layers):.2f}"
    peak, layered, *traffic = (
        size(values[name]) if name in values else NONE
        for name in (
            "peak_bytes",
            "layer_by_layer_peak_bytes",
            "traffic_bytes",
            "layer_by_layer_traffic_bytes",
        )
    )
    return (
        plain(record.subject, lines=False), str(record.spec.get("mode", NONE)), f"{side} x {side}", peak, layered, more,
        values.get("tiles", NONE), *traffic, times_as_long(record.values),
    )  # fmt: skip


def times_as_long(plan: Mapping[str, object]) -> str:
    """How many times as long a plan takes as the network layer by layer, with its interval; a dash where it was not timed."""
    ratio, *ends = (plan.get(f"time_ratio{end}") for end in ("", "_low", "_high"))
    if not is_number(ratio):
        return NONE
    return f"{ratio:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if all(map(is_number, ends)) else "")


def _on_tiles(of: Comparable, prefix: str) -> list[tuple[object, ...]]:
    """Each block on tiles less the block itself, where the group has both."""
    lines: list[tuple[object, ...]] = []
    for block in sorted({block for block, _ in of.table if block.startswith(f"{prefix}:")}):
        itself = block.partition(":")[2].partition(":")[2]
        try:
            comparisons = compare(of.rows, block, itself, column=of.column)
        except UsageError:  # it was not trained whole
            continue
        for one in (difference for comparison in comparisons for difference in comparison.differences):
            interval = one.interval
            half = "" if interval is None else f" \u00b1 {100 * (interval[1] - one.value):.2f}"
            gain = f"{100 * one.value:+.2f}{half}".replace("-", "\u2212")
            words = plain(describe_group(of.group), lines=False)
            lines.append((plain(block, lines=False), words, one.position or "all", gain, one.verdict, one.n))
    return lines
