"""Small pictures of a block's page, as SVG in the page: curves of trainings, samples on a line."""

from __future__ import annotations

from collections.abc import Sequence

from blockzoo.report.site.markup import EMPTY, Markup, joined, tag

WIDE, HIGH, LEFT, BELOW = 270, 130, 54, 22
"""Pixels of a curve's picture, and of its edges."""
STRIP = 340


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
        _text(LEFT - 6, 14, f"{high:.3g}{unit}", "end"),
        _text(LEFT - 6, HIGH - BELOW + 4, f"{low:.3g}{unit}", "end"),
        _text(LEFT, HIGH - 5, "1"),
        _text(WIDE - 6, HIGH - 5, f"epoch {longest}", "end"),
    ]
    rule = tag("path", class_="grid", d=f"M{LEFT} 8V{HIGH - BELOW}H{WIDE - 6}", fill="none")
    told = f"{title}: {len(lines)} trainings, from {low:.3g}{unit} to {high:.3g}{unit}"
    picture = tag(
        "svg", rule, *drawn, *words,
        class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", width=WIDE, height=HIGH, role="img", aria_label=told,
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
    words = [_text(8, 36, f"{low:.3g} {unit}"), _text(STRIP - 8, 36, f"{high:.3g} {unit}", "end")]
    told = f"{title}: {len(samples)} samples from {min(samples):.3g} to {max(samples):.3g} {unit}"
    return tag(
        "svg", dots, *words,
        class_="sketch", viewBox=f"0 0 {STRIP} 40", width=STRIP, height=40, role="img", aria_label=told,
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
    wide, left, step = 560, 190, 22

    def x(value: float) -> float:
        return round(left + (value - low) / ((high - low) or 1) * (wide - left - 14), 1)

    drawn = []
    for number, (name, mean, interval) in enumerate(lines):
        y = 14 + step * number
        drawn.append(_text(left - 14, y + 4, name[:28], "end"))
        if interval is not None:
            drawn.append(tag("line", class_="line", x1=x(interval[0]), x2=x(interval[1]), y1=y, y2=y))
        drawn.append(tag("circle", class_="part", cx=x(mean), cy=y, r=4))
    high_of = step * len(lines) + 26
    drawn += [
        _text(left, high_of - 6, f"{low:.4g}{unit}"),
        _text(wide - 14, high_of - 6, f"{high:.4g}{unit}", "end"),
    ]
    told = f"{title}: " + ", ".join(f"{name} {mean:.2f}{unit}" for name, mean, _ in lines)
    return tag(
        "svg", joined(drawn),
        class_="sketch", viewBox=f"0 0 {wide} {high_of}", width=wide, height=high_of, role="img", aria_label=told,
    )  # fmt: skip


def _text(x: float, y: float, words: str, anchor: str | None = None) -> Markup:
    return tag("text", words, x=x, y=y, text_anchor=anchor)
