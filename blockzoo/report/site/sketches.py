"""Small pictures of a block's page, as SVG in the page: curves of trainings, samples on a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from blockzoo.core.units import number
from blockzoo.report.site.markup import EMPTY, Markup, joined, tag

WIDE, HIGH, LEFT, BELOW = 270, 130, 54, 22
"""Pixels of a curve's picture, and of its edges."""
STRIP = 340
SHOWN = 64
"""Letters of a name beside a picture."""
NAMED = 6
"""Points of a picture that bear their names."""


def curves(title: str, lines: Sequence[Sequence[float]], unit: str = "") -> Markup:
    """One line for each training, over its epochs; empty where there is none.

    Args:
        title: what is drawn.
        lines: values of each epoch.
        unit: of the values.
    """
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return EMPTY
    low, high = min(map(min, lines)), max(map(max, lines))
    longest = max(map(len, lines))

    def place(epoch: int, value: float) -> str:
        x = LEFT + epoch / (longest - 1) * (WIDE - LEFT - 6)
        y = HIGH - BELOW - (value - low) / ((high - low) or 1) * (HIGH - BELOW - 10)
        return f"{x:.1f} {y:.1f}"

    drawn = [
        tag("path", class_="line", d="M" + "L".join(place(epoch, value) for epoch, value in enumerate(line)))
        for line in lines
    ]
    words = [
        text(LEFT - 6, 14, f"{high:.3g}{unit}", "end"),
        text(LEFT - 6, HIGH - BELOW + 4, f"{low:.3g}{unit}", "end"),
        text(LEFT, HIGH - 5, "1"),
        text(WIDE - 6, HIGH - 5, f"epoch {longest}", "end"),
    ]
    rule = tag("path", class_="grid", d=f"M{LEFT} 8V{HIGH - BELOW}H{WIDE - 6}", fill="none")
    label = f"{title}: {len(lines)} trainings, from {low:.3g}{unit} to {high:.3g}{unit}"
    picture = tag(
        "svg", rule, *drawn, *words,
        class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", width=WIDE, height=HIGH, role="img", aria_label=label,
    )  # fmt: skip
    return tag("figure", picture, tag("figcaption", title, class_="small"))


def strip(title: str, samples: Sequence[float], limits: tuple[float, float], unit: str) -> Markup:
    """Samples as dots on a line, as they were taken.

    Args:
        title: what is drawn.
        samples: of it.
        limits: of the line, shared by those that are compared.
        unit: of the samples.
    """
    low, high = limits
    places = [8 + (min(max(v, low), high) - low) / ((high - low) or 1) * (STRIP - 16) for v in samples]
    dots = tag(
        "path", d="".join(f"M{x:.1f} 7v12" for x in places), stroke="currentColor", stroke_opacity=0.35, stroke_width=1
    )  # fmt: skip
    words = [text(8, 36, f"{low:.3g} {unit}"), text(STRIP - 8, 36, f"{high:.3g} {unit}", "end")]
    label = f"{title}: {len(samples)} samples from {min(samples):.3g} to {max(samples):.3g} {unit}"
    return tag(
        "svg", dots, *words,
        class_="sketch", viewBox=f"0 0 {STRIP} 40", width=STRIP, height=40, role="img", aria_label=label,
    )  # fmt: skip


def spans(title: str, lines: Sequence[tuple[str, float, tuple[float, float] | None]], unit: str) -> Markup:
    """Means with intervals, one below the other on one scale.

    Args:
        title: what is drawn.
        lines: a name, a mean and an interval each.
        unit: of the means.
    """
    if not lines:
        return EMPTY
    ends = [end for _, mean, interval in lines for end in (interval or (mean, mean))]
    low, high = min(ends), max(ends)
    left = 24 + round(6.6 * max(len(name[:SHOWN]) for name, _, _ in lines))
    wide, step = left + 370, 22

    def x(value: float) -> float:
        return round(left + (value - low) / ((high - low) or 1) * (wide - left - 14), 1)

    drawn = []
    for place, (name, mean, interval) in enumerate(lines):
        y = 14 + step * place
        drawn.append(
            text(left - 14, y + 4, name if len(name) <= SHOWN else f"{name[: SHOWN - 1]}\u2026", "end")
        )
        if interval is not None:
            drawn.append(tag("line", class_="line", x1=x(interval[0]), x2=x(interval[1]), y1=y, y2=y))
        drawn.append(tag("circle", class_="part", cx=x(mean), cy=y, r=4))
    high_of = step * len(lines) + 26
    drawn += [
        text(left, high_of - 6, f"{low:.4g}{unit}"),
        text(wide - 14, high_of - 6, f"{high:.4g}{unit}", "end"),
    ]
    label = f"{title}: " + ", ".join(f"{name} {mean:.2f}{unit}" for name, mean, _ in lines)
    return tag(
        "svg", joined(drawn),
        class_="sketch", viewBox=f"0 0 {wide} {high_of}", width=wide, height=high_of, role="img", aria_label=label,
    )  # fmt: skip


def cloud(
    title: str, points: Sequence[tuple[str, float, float, tuple[float, float] | None]], axis: str, chosen: str
) -> Markup:
    """Accuracies against a cost, with intervals; empty where there is nothing.

    Args:
        title: what is drawn.
        points: a name, the cost, the accuracy in percent and its interval each.
        axis: what the cost is.
        chosen: the name that is told from the others; it and its neighbours bear their names.
    """
    if not points:
        return EMPTY
    wide, high, left, below = 340, 230, 50, 40
    ends = [end for _, _, value, interval in points for end in (interval or (value, value))]
    bottom, top = min(ends), max(ends)
    costs = [cost for _, cost, _, _ in points]
    least, most = min(costs), max(costs)

    def x(cost: float) -> float:
        return round(left + 14 + (cost - least) / ((most - least) or 1) * (wide - left - 40), 1)

    def y(value: float) -> float:
        return round(high - below - 8 - (value - bottom) / ((top - bottom) or 1) * (high - below - 30), 1)

    drawn = [tag("path", class_="grid", d=f"M{left} 8V{high - below}H{wide - 6}", fill="none")]
    ordered = sorted(points, key=lambda point: point[0] == chosen)
    for name, cost, value, interval in ordered:
        kind = "part" if name == chosen else "dot"
        if interval is not None:
            ends_of = {"x1": x(cost), "x2": x(cost), "y1": y(interval[0]), "y2": y(interval[1])}
            drawn.append(tag("line", class_="line" if name == chosen else "span", **ends_of))
        dot = tag("circle", class_=kind, cx=x(cost), cy=y(value), r=5 if name == chosen else 4)
        drawn.append(tag("g", tag("title", f"{name}: {value:.2f} %, {number(cost)}"), dot))
    if len(points) <= NAMED:
        drawn += [
            tag("text", name[:24], class_="label", x=x(cost) + (9 if x(cost) < wide / 2 else -9), y=y(value) + 4,
                text_anchor=None if x(cost) < wide / 2 else "end")
            for name, cost, value, _ in ordered
        ]  # fmt: skip
    words = [
        text(left - 6, 16, f"{top:.1f} %", "end"),
        text(left - 6, high - below - 4, f"{bottom:.1f} %", "end"),
        text(left, high - below + 16, number(least)),
        text(wide - 6, high - below + 16, number(most), "end"),
        text((left + wide) / 2, high - 6, axis, "middle"),
    ]
    label = f"{title}: " + ", ".join(
        f"{name} {value:.2f} % at {number(cost)}" for name, cost, value, _ in ordered
    )
    picture = tag(
        "svg", *drawn, *words,
        class_="sketch", viewBox=f"0 0 {wide} {high}", width=wide, height=high, role="img", aria_label=label,
    )  # fmt: skip
    return tag("figure", picture, tag("figcaption", title, class_="small"))


def heat(title: str, labels: Sequence[str], values: Sequence[Sequence[float | None]]) -> Markup:
    """A square of values, the larger the fuller the colour, on a logarithmic scale; empty where there is none.

    Args:
        title: what is drawn.
        labels: of its rows, which are those of its columns.
        values: not negative; nothing is drawn where one is None.
    """
    count = len(labels)
    if not count:
        return EMPTY
    cell = max(16, min(44, 300 // count))
    left, side = 150, cell * count
    positive = [value for row in values for value in row if value is not None and value > 0]
    low, high = (math.log(min(positive)), math.log(max(positive))) if positive else (0.0, 1.0)
    drawn = []
    for i, row in enumerate(values):
        drawn.append(text(left - 8, 10 + cell * i + cell / 2 + 4, f"{labels[i][:20]}", "end"))
        for j, value in enumerate(row):
            if value is None:
                continue
            share = 0.08 + 0.92 * (math.log(value) - low) / ((high - low) or 1) if value > 0 else 0.0
            tooltip = tag("title", f"{labels[i]}, {labels[j]}: {value:.3g}")
            square = f"M{left + cell * j} {10 + cell * i}h{cell - 2}v{cell - 2}h{2 - cell}z"
            drawn.append(tag("g", tooltip, tag("path", class_="part", fill_opacity=f"{share:.2f}", d=square)))
    drawn += [text(left + cell * j + cell / 2 - 1, 24 + side, str(j), "middle") for j in range(count)]
    words = f"{title}: {count} x {count} values from {math.exp(low):.3g} to {math.exp(high):.3g}"
    wide, tall = left + side + 10, side + 32
    picture = tag(
        "svg",
        *drawn,
        class_="sketch",
        viewBox=f"0 0 {wide} {tall}",
        width=wide,
        height=tall,
        role="img",
        aria_label=words,
    )
    return tag("figure", picture, tag("figcaption", title, class_="small"))


def bars(title: str, values: Sequence[float], unit: str, count: int = 24) -> Markup:
    """How many values lie where, in intervals of equal width; empty where there are none.

    Args:
        title: what is drawn.
        values: all of them.
        unit: of them.
        count: of intervals.
    """
    if not values:
        return EMPTY
    low, high = min(values), max(values)
    counts = [0] * count
    for value in values:
        counts[min(count - 1, int((value - low) / ((high - low) or 1) * count))] += 1
    wide, step = 560, (560 - LEFT - 8) / count
    drawn = []
    for place, many in enumerate(counts):
        tall = many / max(counts) * (HIGH - BELOW - 12)
        tooltip = tag("title", f"{many} from {low + (high - low) * place / count:.2f}{unit}")
        shape = {
            "x": round(LEFT + step * place, 1),
            "y": round(HIGH - BELOW - tall, 1),
            "width": round(step - 1, 1),
            "height": round(tall, 1),
        }
        drawn.append(tag("g", tooltip, tag("rect", class_="part", **shape)))
    words = [
        text(LEFT - 6, 16, str(max(counts)), "end"),
        text(LEFT, HIGH - 5, f"{low:.4g}{unit}"),
        text(wide - 8, HIGH - 5, f"{high:.4g}{unit}", "end"),
    ]
    label = f"{title}: {len(values)} from {low:.4g}{unit} to {high:.4g}{unit}"
    picture = tag(
        "svg", *drawn, *words,
        class_="sketch", viewBox=f"0 0 {wide} {HIGH}", width=wide, height=HIGH, role="img", aria_label=label,
    )  # fmt: skip
    return tag("figure", picture, tag("figcaption", title, class_="small"))


def text(x: float, y: float, words: str, anchor: str | None = None) -> Markup:
    """Words in a picture, beginning at a place, or ending (`end`) or centred (`middle`) there."""
    return tag("text", words, x=x, y=y, text_anchor=anchor)
