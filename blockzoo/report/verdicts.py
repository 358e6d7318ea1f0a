"""Comparisons as tables: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from blockzoo.core.typeset import HIGH, KEY, LOW, TextTable, name, number, prose
from blockzoo.report.accuracies import WORDS, left_out_words
from blockzoo.report.comparison import Comparison
from blockzoo.report.difference import ENOUGH_SIGNS, Difference
from blockzoo.report.groups import describe_group
from blockzoo.report.images import ENOUGH_SEEDS, OverImages

VERDICT = (
    number("difference", "points", KEY),
    prose("verdict", KEY),
    number("seeds", importance=HIGH),
)
OF_ALL_PAIRS = (name("position"), name("block"), name("against"), *VERDICT)


OF_ONE_PAIR = (
    name("position"),
    number("first", "%"),
    number("second", "%"),
    *VERDICT,
    number("found with 80 %", importance=LOW),
    number("sign flips", importance=4),
)


def comparison_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """One row for each difference, accuracies as fractions."""
    return [
        {
            "group": describe_group(comparison.group),
            "column": comparison.column,
            "position": difference.where,
            "block": difference.block,
            "other": difference.other,
            "mean": difference.means[0],
            "other_mean": difference.means[1],
            "difference": difference.value,
            "low": difference.interval[0] if difference.interval else None,
            "high": difference.interval[1] if difference.interval else None,
            "verdict": difference.verdict,
            "p": difference.p,
            "equal_p": difference.p_equal,
            "sign_flips_p": difference.sign_flips,
            "detectable": difference.detectable,
            "seeds": difference.n,
            "degrees_of_freedom": difference.degrees,
            "shared_variance": bool(difference.cells),
            **_image_cells(difference),
        }
        for comparison in comparisons
        for difference in comparison.differences
    ]


def _image_cells(difference: Difference) -> dict[str, Any]:
    """What single test images say, as cells of a row; none where it is not known."""
    images, both = difference.images, difference.over_both
    if images is None:
        return {}
    return {
        "images": images.images,
        "seeds_of_images": images.seeds,
        "only_block": images.only_first,
        "only_other": images.only_second,
        "agreement": images.agreement,
        "mcnemar_p": list(images.mcnemar),
        "images_low": images.accuracy[0],
        "images_high": images.accuracy[1],
        "both_low": both[0] if both else None,
        "both_high": both[1] if both else None,
        "loss_difference": images.loss[0],
        "loss_low": images.loss[1][0],
        "loss_high": images.loss[1][1],
    }


def comparison_tables(comparisons: Iterable[Comparison]) -> list[TextTable]:
    """One table for each comparable group."""
    drawn = []
    for comparison in comparisons:
        drawn.append(_drawn(comparison))
        if any(difference.images for difference in comparison.differences):
            drawn.append(_over_images(comparison))
    return drawn


def _over_images(comparison: Comparison) -> TextTable:
    """Two blocks on the single images of the test split."""
    pairs = [(d, d.images) for d in comparison.differences if d.images is not None]
    first = pairs[0][0]
    return TextTable(
        f"image by image: {first.block} against {first.other}, {pairs[0][1].images:,} test images",
        (
            name("position"),
            number("seeds", importance=HIGH),
            number(f"only {first.block}", importance=HIGH),
            number(f"only {first.other}", importance=HIGH),
            number("same", importance=LOW),
            number("McNemar", "p"),
            number("other images", importance=HIGH),
            number("and trainings", importance=KEY),
            number("loss", importance=LOW),
        ),
        [_image_line(difference, images) for difference, images in pairs],
        _told_of_images([images for _, images in pairs])
        + "\nof fewer seeds than the difference: these trainings alone, so nothing is said over trainings"
        * any(images.seeds < difference.n for difference, images in pairs),
    )


def _image_line(difference: Difference, images: OverImages) -> tuple[str, ...]:
    both, (loss, of_loss) = difference.over_both, images.loss
    return (
        difference.position or "-",
        _seeds_of_images(difference, images),
        f"{images.only_first:,.0f}",
        f"{images.only_second:,.0f}",
        f"{100 * images.agreement:.1f} %",
        _from_to(images.mcnemar, "{:.2g}"),
        _from_to(tuple(100 * end for end in images.accuracy), "{:+.2f}"),
        _from_to(tuple(100 * end for end in both), "{:+.2f}") if both else "-",
        f"{loss:+.3f} ({_from_to(of_loss, '{:+.3f}')})",
    )


def _seeds_of_images(difference: Difference, images: OverImages) -> str:
    """Those whose outcomes are stored, of those of the difference."""
    return str(images.seeds) + f" of {difference.n}" * (images.seeds < difference.n)


def _from_to(values: tuple[float, ...], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _told_of_images(known: list[OverImages]) -> str:
    """What the columns say, and how much of the spread is chance."""
    joint = all(images.seeds >= ENOUGH_SEEDS for images in known)
    drawn = (
        "images and seeds drawn anew"
        if joint
        else f"images drawn anew, these trainings (fewer than {ENOUGH_SEEDS})"
    )
    text = (
        "only: images that one classifies rightly and the other does not, in a training on average; McNemar: of each seed; other "
        f"images: 95 % interval of the difference in points, BCa bootstrap, {drawn}; and trainings: the same with the spread "
        "between trainings; loss: of the first less the second, with its interval over images"
    )
    chances = [100 * images.chance for images in known if images.chance is not None]
    if chances:
        text += (
            f"\nso many test images alone spread the accuracies of one block by {_from_to(tuple(chances), '{:.2f}')} points from "
            "training to training"
        )
    return text


def _drawn(comparison: Comparison) -> TextTable:
    pairs = list(dict.fromkeys((d.block, d.other) for d in comparison.differences))
    alone = len(pairs) == 1
    title = f"{pairs[0][0]} against {pairs[0][1]}; " if alone else ""
    lines = [_line(d) if alone else _short_line(d) for d in comparison.differences]
    columns = OF_ONE_PAIR if alone else OF_ALL_PAIRS
    return TextTable(title + describe_group(comparison.group), columns, lines, _told(comparison))


def _short_line(difference: Difference) -> tuple[str, ...]:
    """The better block first."""
    first = difference if difference.value >= 0 else difference.the_other_way()
    return (first.position, first.block, first.other, _difference(first), first.verdict, str(first.n))


def _line(difference: Difference) -> tuple[str, ...]:
    smallest, flips = difference.detectable, difference.sign_flips
    return (
        difference.where,
        *(f"{100 * mean:.2f}" for mean in difference.means),
        _difference(difference),
        difference.verdict,
        str(difference.n),
        "" if smallest is None else f"{100 * smallest:.2f}",
        f"needs {ENOUGH_SIGNS} seeds"
        if difference.n < ENOUGH_SIGNS
        else ""
        if flips is None
        else f"p = {flips:.3f}",
    )


def _difference(difference: Difference) -> str:
    half = f" ± {100 * (difference.interval[1] - difference.value):.2f}" if difference.interval else ""
    return f"{100 * difference.value:+.2f}{half}"


def _told(comparison: Comparison) -> str:
    """How the differences were judged, and what is in none."""
    lacking = left_out_words(comparison.left_out, comparison.column)
    return "\n".join(filter(None, (_judged(comparison), lacking, comparison.remarks)))


def _judged(comparison: Comparison) -> str:
    accuracy = WORDS[comparison.column]
    first = f"{accuracy} over the seeds that both have; ± half of the 95 % interval of the difference, "
    judged = [d for d in comparison.differences if d.error is not None]
    if not judged:
        equal = any(d.n > 1 for d in comparison.differences)
        unknown = "which is not known: all seeds differ alike, so see that a seed changes anything"
        return first + (unknown if equal else "which needs more seeds")
    several = len({(d.block, d.other) for d in comparison.differences}) > 1
    holm = (
        "; verdicts after Holm's correction over all pairs, for differences and for equality each. An interval is at the level "
        "at which its pair was judged; they do not hold all together, those of the picture `forest` do"
        if several
        else ""
    )
    if comparison.shared and comparison.deviation:
        how = (
            f"from what block, position and seed leave: {100 * comparison.deviation:.2f} points in each training, "
            f"{judged[0].degrees} degrees of freedom"
        )
    else:
        how = "from its own seeds alone: the table's cells do not vary alike"
    return f"{first}{how}{holm}{'' if several else _found_with(judged)}"


def _found_with(judged: list[Difference]) -> str:
    """Which true differences so many seeds find, as a clause; empty where that is not known."""
    smallest = sorted(100 * d.detectable for d in judged if d.detectable is not None)
    if not smallest:
        return ""
    ends = dict.fromkeys(f"{value:.2f}" for value in (smallest[0], smallest[-1]))
    return f"; true differences of {' to '.join(ends)} points are found in about four of five tables"
