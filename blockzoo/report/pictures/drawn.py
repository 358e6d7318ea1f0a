"""All pictures of one comparable group, by the names of their files, and in a sentence what cannot be drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from blockzoo.core.errors import UsageError
from blockzoo.core.table import Row
from blockzoo.report.charts import charts
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.crossed import Crossed, crossed_models
from blockzoo.report.difference import MARGIN
from blockzoo.report.effects import Effects, from_reference, in_company, reference_of, specialisations
from blockzoo.report.groups import describe_group, name_of
from blockzoo.report.pictures.accuracy import draw
from blockzoo.report.pictures.forest import draw_forest
from blockzoo.report.pictures.looks import Mark, look
from blockzoo.report.pictures.predictions import draw_predictions
from blockzoo.report.pictures.profiles import draw_profiles
from blockzoo.report.pictures.verdict_map import draw_verdicts
from blockzoo.report.summaries import usable

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

Drawing = tuple[str, "Callable[[], Figure] | str"]
"""The name of a picture, and what draws it; or why nothing does, as a sentence."""
FEWEST_HELD_OUT = 3
AVERAGE = {
    "better": "above the average block",
    "worse": "below it",
    "equal": "within {0:g} of it",
    "unresolved": "unresolved",
}


def pictures(of: Comparable, looks: dict[str, Mark], *, against: str | None = None) -> Iterator[Drawing]:
    """What answers one question each: forest, verdicts at each position, profiles, accuracy against each cost, worths in company.

    Args:
        of: one comparable group.
        looks: of all blocks of the source.
        against: the reference; None for the usual one.
    """
    yield from _of_pairs(of, against)
    for chart in charts(of):
        yield f"accuracy_{chart.name}", partial(draw, chart, looks)
    if of.crossed:
        yield from _of_networks(of)


def first_picture(rows: Sequence[Row]) -> Figure:
    """The first picture of the largest comparable group of a table's rows.

    Raises:
        UsageError: nothing can be drawn; the message says why.
    """
    groups = [of for of in comparables(rows) if usable(of.rows)]
    reasons = []
    for of in sorted(groups, key=lambda of: -len(of.rows)):
        for _, drawing in pictures(of, look(name_of(row) for row in of.rows)):
            if not isinstance(drawing, str):
                return drawing()
            reasons.append(drawing)
    raise UsageError(
        f"nothing to draw: {'; '.join(reasons) or f'{len(rows)} rows, none with accuracy and costs'}"
    )


def _of_pairs(of: Comparable, against: str | None) -> Iterator[Drawing]:
    if of.comparison is None:
        if of.table:
            yield "forest", "no forest, verdicts and profiles: no two blocks stand at one position"
        return
    reference = reference_of(of.table, against)
    effects = from_reference(of.table, of.fitted, of.comparison, reference)
    axis = f"{of.accuracy} less that of {reference or 'all blocks on average'}, points"
    if effects.differences:
        question = f"Which blocks differ from {reference or 'the average block'}, and by how much"
        yield (
            "forest",
            partial(draw_forest, effects, question, of.words, _note(of, _note_of_forest(of, effects)), axis),
        )
    if all(d.error is None for d in of.comparison.differences):
        yield (
            "verdicts",
            "no verdicts and profiles: one seed of each says nothing of the spread between trainings",
        )
        return
    for place in of.positions:
        pairs = [d for d in of.comparison.differences if d.position == place]
        if pairs:
            name = f"verdicts_{place}" if place else "verdicts"
            yield name, partial(draw_verdicts, pairs, place, of.words, _note(of, _note_of_verdicts(of)))
    special = specialisations(of.table, of.fitted)
    if not special.differences:
        yield "profiles", "no profiles: no two blocks stand at several positions"
    else:
        yield (
            "profiles",
            partial(
                draw_profiles, effects, special, of.words, _note(of, _note_of_profiles(of, effects)), axis
            ),
        )


def _of_networks(of: Comparable) -> Iterator[Drawing]:
    try:
        (model,) = crossed_models(of.crossed, of.column)
    except UsageError as error:
        yield "worths", f"no worths in company: {error}"
        return
    axis = f"{of.accuracy} less that of the average block there, points"
    question = "What blocks are worth in company: at each position, the other stages holding other blocks"
    facts = describe_group(model.group), f"{len(model.trainings)} trainings"
    group = ", ".join(fact for fact in facts if fact)
    note = _note_of_worths(model)
    yield "worths", partial(draw_forest, in_company(model), question, group, note, axis, AVERAGE)
    if model.held_out is None or len(model.held_out) < FEWEST_HELD_OUT:
        yield "predictions", f"no predictions: fewer than {FEWEST_HELD_OUT} networks could be held out"
    else:
        yield (
            "predictions",
            partial(draw_predictions, model.held_out, group, note_of_predictions(model.held_out)),
        )


def _note(of: Comparable, text: str) -> str:
    """With what of the group is in no mean."""
    lost = of.remarks
    return f"{text} {lost[:1].upper()}{lost[1:]}." if lost else text


def _note_of_forest(of: Comparable, effects: Effects) -> str:
    if not effects.family:
        return "No intervals: one seed, or the same difference in each, says nothing of the spread between trainings."
    family, pairs = effects.family, "all pairs of the table" if effects.reference else "all that is shown"
    source = ", as `blockzoo results --verdicts` prints them" if effects.reference else ""
    alone = ", as `blockzoo compare` prints it" if effects.reference else ""
    return (
        f"Thick: 95 % interval of one difference alone{alone}. Thin: {family} such intervals, of {pairs}, hold together in 95 % "
        f"of tables (Bonferroni). Errors are {of.spread}. Verdicts: Holm's correction over the same {family}{source}, in the "
        f"seeds that {'both' if effects.reference else 'all'} have."
    )


def _note_of_verdicts(of: Comparable) -> str:
    return (
        "In a cell: accuracy of the row's block less that of the column's, points; the most accurate on top. Verdicts as "
        "`blockzoo results --verdicts` prints them: Holm's correction over all pairs of the table, errors "
        f"{of.spread}. Equal: two one-sided tests find less than {100 * MARGIN:g} points to either side, corrected alike."
    )


def _note_of_profiles(of: Comparable, effects: Effects) -> str:
    return (
        f"Left: accuracy less that of {effects.reference or 'all blocks on average'} at the same position. Right: the "
        "interaction of block and position: its gain here less the mean of its gains elsewhere, gains being over the mean of the "
        "blocks shown. Hollow: no verdict after Holm's correction (left: over all pairs; right: over what is shown). "
        f"Errors are {of.spread}. On top: the surest specialists."
    )


def _note_of_worths(model: Crossed) -> str:
    share, adjusted = (100 * value for value in model.fit.explained)
    return (
        f"An additive model of {len(model.trainings)} trainings, as `blockzoo results --worths` prints it: it explains "
        f"{share:.0f} % of the variance (adjusted {adjusted:.0f} %) and leaves {100 * model.fit.deviation:.2f} points. Thick: 95 "
        f"% interval of one worth alone. Thin: all {len(model.worths)} hold together in 95 % of tables (Bonferroni). Verdicts: "
        "Holm's correction over them."
        + (f" Not drawn: {model.untold}." if model.untold else "")
        + (f" {model.left_out.capitalize()}." if model.left_out else "")
    )


def note_of_predictions(pairs: list[tuple[float, float]]) -> str:
    """How far off the predictions are.

    Args:
        pairs: predicted and measured, fractions.
    """
    import numpy as np

    values = np.array(pairs)
    error = float(np.sqrt(((values[:, 0] - values[:, 1]) ** 2).mean()))
    return (
        f"{len(pairs)} networks, each predicted by a model of the other replicates alone: root mean square error "
        f"{100 * error:.2f} points; their own spread is {100 * float(values[:, 1].std()):.2f}."
    )
