"""card: is my block any good? One block through all lenses within a time, on one page"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.card.options import DATA, RECIPE, RUN, SCAFFOLD, Carding, seconds_of
from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import typeset as t
from blockzoo.core.settings import Data, Recipe, Run, Scaffold

if TYPE_CHECKING:
    from blockzoo.card.schedule import Outcome


@expanded("on_oom", "latency", "strict", "experiment_name", "notes", "devices", "sync_batch_norm")
def card(
    subject: o.Subject,
    *,
    carding: Carding = Carding(),  # noqa: B008
    scaffold: Scaffold = SCAFFOLD,
    recipe: Recipe = RECIPE,
    data: Data = DATA,
    run: Run = RUN,
    dry_run: Annotated[bool, Parameter(help="say what would be made, look at nothing", negative=())] = False,
    format: o.Format = "table",
) -> int:
    """Look at one block through all lenses, and write a page and a JSON: costs, times, accuracy, coupling, tiles, as a cell.

    It needs no network: images come with the package's dependencies. What is worth most for its seconds is done first; what does
    not fit the time budget is left out by name, with what it would need. Trainings go to the results folder, as those of a
    sweep: the same command goes on from there, and other cards in it stand beside this one.

    Examples:
        blockzoo card RepMixer
        blockzoo card my_file.py:MyBlock --time-budget 3m
        blockzoo card MyBlock --plugin mine.py --zoo results
    """
    from blockzoo.card.desk import Asked
    from blockzoo.card.make import make_card, parts_of
    from blockzoo.card.schedule import in_words

    if dry_run:
        request = Asked.of(subject, carding, scaffold, recipe, data, run)
        planned = [{"part": part.title, "worth": part.worth} for part in parts_of(carding.most_seeds)]
        title = f"{request.name} beside {request.reference}, in {in_words(seconds_of(carding.time_budget))}"
        text = "The parts of a card; what is worth most for its seconds is made first, and what does not fit is left out."
        parts = [(str(row["part"]), f"{row['worth']:g}") for row in planned]
        screen.show(screen.table(title, ["part", t.number("worth")], parts, text), planned, format)
        return 0

    def heard(outcome: Outcome) -> None:
        if outcome.status == "no time" and outcome.took_s is None:
            return  # said together, below
        took = f", {in_words(outcome.took_s)}" if outcome.took_s is not None else ""
        status = outcome.status if outcome.status != "cannot" else "not possible"
        screen.say(f"{outcome.title}: {status}{took}{f': {outcome.why}' if outcome.why else ''}")

    page = make_card(subject, carding=carding, settings=(scaffold, recipe, data, run), heard=heard)
    rows = page.rows()
    text = "\n".join(page.answer)
    if format == "table":
        left_out = "".join(f"\nleft out  {title}: {why}" for title, why in page.left_out)
        screen.answer(f"\n{text}\n{left_out}", rows)
        screen.say(f"\nmade in {page.told}; open {page.files[0]}\nfigures   {page.files[1]}")
        return 0
    columns = [
        t.name("part"),
        t.name("status", t.HIGH),
        t.number("n"),
        t.number("took, s"),
        t.prose("what it says", t.KEY),
    ]
    lines = [
        (
            row["part"],
            row["status"],
            row["n"],
            "" if row["took_s"] is None else f"{row['took_s']:.0f}",
            row["says"],
        )
        for row in rows
    ]
    answered = [
        {
            "subject": page.asked.name,
            "part": "answer",
            "status": "done",
            "n": "",
            "estimated_s": None,
            "took_s": page.seconds[0],
            "says": text,
        }
    ]
    screen.show(
        screen.table(page.answer[0], columns, lines, "\n".join(page.answer[1:])), [*answered, *rows], format
    )
    screen.say(f"written to {page.files[0]} and {page.files[1]}")
    return 0
