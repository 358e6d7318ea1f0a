"""The page of one block: what it is, its worth at each position and budget, how it trained, its times, how to make it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from blockzoo.core.record import Record
from blockzoo.core.table import Row, way_of
from blockzoo.core.text import markdown, plain
from blockzoo.core.times import median_interval, throughput
from blockzoo.report.site.cards import Card, cited
from blockzoo.report.site.citing import Row as Cited
from blockzoo.report.site.citing import badge, bibtex
from blockzoo.report.site.commands import command_of
from blockzoo.report.site.gathered import Told
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag
from blockzoo.report.site.sketches import curves, spans, strip
from blockzoo.report.site.words import NONE, Line
from blockzoo.report.statistics import usable

STRIPS = 400
"""Samples of a strip that are drawn."""
ENVIRONMENT = ("cpu", "gpu", "device", "threads", "dtype", "torch", "blockzoo", "git", "os", "python")
"""What a page says of where trainings ran, where it is known."""


@dataclass(frozen=True)
class Entry:
    """A block at a position of one table.

    Args:
        line: of its leaderboard.
        rows: of its trainings, failed ones too.
        told: of those the records, where a store has them.
    """

    line: Line
    rows: Sequence[Row]
    told: Sequence[Told]

    @property
    def place(self) -> str:
        """The position; empty for a whole network."""
        return str(self.line.place["name"])

    @property
    def title(self) -> str:
        """Of its table, and the position."""
        return f"{self.line.board['title']}{', ' if self.place else ''}{self.place}"

    @property
    def address(self) -> str:
        """Of the leaderboard that shows it, from the root of the site."""
        return f"index.html#table={self.line.board['key']}&position={self.place}"


@dataclass(frozen=True)
class Subject:
    """What a page is of.

    Args:
        name: of the block, as results have it.
        stem: of its files.
        entries: of it, by table and position.
        card: what it is, where it is of the zoo.
        latencies: of its networks, by timing key.
        measured: further parts of the card, as markup, that others have measured.
        version: of blockzoo.
        date: of the site.
    """

    name: str
    stem: str
    entries: Sequence[Entry]
    card: Card | None
    latencies: Mapping[str, Sequence[Record]]
    measured: Markup
    version: str
    date: str

    @property
    def shown(self) -> str:
        """The name as pages have it."""
        return plain(self.name, lines=False)

    @property
    def positions(self) -> list[Entry]:
        """Without those that are means over positions."""
        return [entry for entry in self.entries if entry.place != "mean"]


def body_of(subject: Subject) -> Markup:
    """The main part of the page."""
    parts: list[Callable[[Subject], Markup]] = [
        _card, _worth, _curves, _times, _operations, _trainings, _again, _cite
    ]  # fmt: skip
    return joined(part(subject) for part in parts)


def badges_of(subject: Subject) -> Iterator[tuple[str, str]]:
    """The address and the text of a badge of each of its positions."""
    for entry in subject.positions:
        if entry.line.mean is not None:
            yield _badge_address(subject, entry), badge(_cited(subject, entry))


def _card(subject: Subject) -> Markup:
    card = subject.card
    head = tag("h1", subject.shown)
    if card is None:
        return joined([head, tag("p", "A block or network that is not of the zoo.", class_="lead")])
    return joined(
        [
            head,
            tag("p", card.sentence, class_="lead"),
            *(tag("p", caveat) for caveat in card.caveats),
            tag("p", cited(card.source), class_="quiet") if card.source else EMPTY,
            subject.measured,
            tag(
                "details",
                tag("summary", f"Code, {card.module}"),
                tag("pre", tag("code", card.code), tabindex=0),
            ),
        ]
    )


def _worth(subject: Subject) -> Markup:
    """A table for all tables: worth by position and budget."""
    lines, drawn = [], []
    for entry in subject.entries:
        line, against = entry.line, entry.line.against
        name = tag("a", _short(entry), href=f"../{entry.address}")
        difference, verdict = against or ("", "")
        lines.append(
            (
                name, line.accuracy, line.rank or "in no comparison", difference,
                "the reference" if line.is_reference else verdict, line.of("n"),
                line.cost("flops"), line.cost("params_total"), line.time,
            )
        )  # fmt: skip
        if line.mean is not None:
            drawn.append((_short(entry), line.mean, line.interval))
    references = {entry.line.reference for entry in subject.entries}
    reference = references.pop() if len(references) == 1 else None
    heads = (
        "",
        "accuracy, %",
        "rank",
        f"less {reference or 'the reference'}",
        "verdict",
        "n",
        "FLOPs",
        "parameters",
        "latency, ms",
    )
    titles = dict.fromkeys(entry.line.board["title"] for entry in subject.entries)
    tables = [tag("p", title, class_="quiet") for title in titles]
    return tag(
        "section", tag("h2", "What it is worth", id="worth"), *(tables if len(tables) == 1 else []),
        spans("Accuracy by position and table", drawn, " %"), table("By position and budget", heads, lines, left=(4,)),
    )  # fmt: skip


def _short(entry: Entry) -> str:
    """Position and budget, which tell the entries of a block apart best."""
    place = {"mean": "mean of positions", "": "network"}.get(entry.place, entry.place)
    facets = entry.line.board["facets"]
    budget = "" if facets["track"] == "native" else f", {facets['track']} {facets['budget']}"
    return f"{place}{budget}"


def _curves(subject: Subject) -> Markup:
    made = []
    for entry in subject.positions:
        series = [[100 * value for value in told.curves["val_acc"]] for told in entry.told]
        losses = [told.curves["train_loss"] for told in entry.told]
        pair = [
            curves(f"{_short(entry)}: validation accuracy", series, " %"),
            curves("training loss", losses),
        ]
        made += [part for part in pair if part]
    if not made:
        return EMPTY
    told = tag("p", "One line for each training.", class_="small")
    return tag("section", tag("h2", "Curves"), told, tag("div", *made, class_="sketches"))


def _times(subject: Subject) -> Markup:
    timed = [(entry, record, dict(_by_batch(record))) for entry, record in _timed(subject)]
    batches = sorted({batch for _, _, by_batch in timed for batch in by_batch})
    if not batches:
        return EMPTY
    lines = []
    for entry, record, by_batch in timed:
        last = max(by_batch, default=0)
        doubts = [
            f"batch {b}: {why}" for b in by_batch if (why := record.values.get(f"network_batch{b}_doubt"))
        ]
        rate = f"{throughput(by_batch[last], last):,.0f}" if last else NONE
        cells = [_milliseconds(by_batch.get(batch, [])) for batch in batches]
        lines.append(
            (
                _short(entry),
                _way(record),
                *cells,
                rate,
                max(map(len, by_batch.values()), default=0),
                "; ".join(doubts),
            )
        )
    heads = (
        "",
        "timed on",
        *(f"batch {batch}, ms" for batch in batches),
        "images/s at the largest",
        "n",
        "doubt",
    )
    of_one = [
        (f"{_short(entry)}, {_way(record)}", by_batch[1])
        for entry, record, by_batch in timed
        if 1 in by_batch
    ]
    own = [value for _, samples in of_one for value in samples]
    limits = (min(own), max(own)) if own else (0.0, 1.0)
    pictures = [
        tag("figure", strip(name, samples[:STRIPS], limits, "ms"), tag("figcaption", name, class_="small"))
        for name, samples in of_one
    ]
    told = tag(
        "p",
        "Medians with 95 % intervals from order statistics, of the whole deployed network.",
        class_="small",
    )
    return tag(
        "section", tag("h2", "Latency by batch, dtype and runtime"), told,
        table("Times of the whole network", heads, lines, left=(1, len(heads) - 1)),
        tag("details", tag("summary", "Every sample at batch 1"), *pictures) if pictures else None,
    )  # fmt: skip


def _way(record: Record) -> str:
    return plain(way_of(record), lines=False)


def _milliseconds(samples: Sequence[float]) -> str:
    if not samples:
        return NONE
    middle, interval = median(samples), median_interval(samples)
    return f"~{middle:.4g}" if interval is None else f"{middle:.4g} ({interval[0]:.4g} to {interval[1]:.4g})"


def _timed(subject: Subject) -> Iterator[tuple[Entry, Record]]:
    for entry in subject.positions:
        keys = dict.fromkeys(told.timing_key for told in entry.told if told.timing_key)
        for key in keys:
            for record in subject.latencies.get(key, ()):
                yield entry, record


def _by_batch(record: Record) -> Iterator[tuple[int, list[float]]]:
    for name in sorted(record.samples, key=len):
        size = name.removeprefix("network_batch").removesuffix("_ms")
        if name.startswith("network_batch") and size.isdigit() and record.samples[name]:
            yield int(size), record.samples[name]


def _operations(subject: Subject) -> Markup:
    """Where its costs go: the command that says it, here."""
    if subject.card is None:
        return EMPTY
    place = next((entry.place for entry in subject.positions if entry.place), "mid")
    words = f"blockzoo profile {subject.name.partition(' ')[0]}/{place} --by operation"
    return tag(
        "section", tag("h2", "Why it costs what it costs"),
        tag("p", "By operation, on paper and on a clock beside the limits of the machine:"),
        copied("by-operation", f"{words}\n{words.replace('profile', 'benchmark')}"),
    )  # fmt: skip


def _trainings(subject: Subject) -> Markup:
    """Provenance: every training, failed ones too, and where they ran."""
    lines = [
        (
            _short(entry), "" if row.get("seed") is None else row["seed"],
            _percent(row.get("test_acc")), _percent(row.get("val_acc")),
            row.get("status") or "ok", plain(str(row.get("reason") or ""), lines=False), str(row.get("timestamp") or "")[:19],
            str(row.get("fingerprint") or ""),
        )
        for entry in subject.positions
        for row in entry.rows
    ]  # fmt: skip
    heads = ("position", "seed", "test, %", "validation, %", "status", "reason", "ended (UTC)", "fingerprint")
    where: dict[str, dict[str, None]] = {}
    for entry in subject.positions:
        sources = [told.environment for told in entry.told] or entry.rows
        for name in ENVIRONMENT:
            for of in sources:
                if of.get(name) not in (None, ""):
                    where.setdefault(name, {})[str(of[name])[:120]] = None
    told = [(name, ", ".join(values)) for name, values in where.items()]
    notes = dict.fromkeys(str(row["notes"]) for e in subject.positions for row in e.rows if row.get("notes"))
    return tag(
        "section", tag("h2", "Where the figures come from"),
        facts([*told, ("remarks", "; ".join(notes)[:2000])]),
        tag("details", tag("summary", f"All {len(lines)} trainings"), table("Trainings", heads, lines, left=(4, 5, 6, 7))),
    )  # fmt: skip


def _percent(value: object) -> str:
    return f"{100 * value:.2f}" if isinstance(value, int | float) else NONE


def _again(subject: Subject) -> Markup:
    """Positions that one command makes stand in it together."""
    block = subject.name.partition(" x")[0].partition(" (")[0]  # what follows is its width and depth
    together: dict[str, list[Entry]] = defaultdict(list)
    for entry in subject.positions:
        if entry.told:
            together[command_of(entry.told[-1].spec, block, entry.place and "mid", _seeds(entry))].append(
                entry
            )
    made = []
    for number, entries in enumerate(together.values()):
        first = entries[0]
        command = command_of(
            first.told[-1].spec, block, " ".join(entry.place for entry in entries), _seeds(first)
        )
        made.append(joined([tag("h3", ", ".join(map(_short, entries))), copied(f"again-{number}", command)]))
    if not made:
        made = [tag("p", "A table does not say how its rows were asked for; a store does.", class_="quiet")]
    return tag("section", tag("h2", "Make it again"), *made)


def _seeds(entry: Entry) -> list[int]:
    return [seed for row in entry.rows if isinstance(seed := row.get("seed"), int)]


def _cite(subject: Subject) -> Markup:
    made = []
    for number, entry in enumerate(subject.positions):
        if entry.line.mean is None:
            continue
        address = _badge_address(subject, entry)
        cited_row = _cited(subject, entry)
        words = markdown(f"{cited_row.name}: {cited_row.accuracy}")
        link = f"[![{words}]({address})](blocks/{subject.stem}.html)"
        made.append(
            tag(
                "details", tag("summary", _short(entry)),
                copied(f"bibtex-{number}", bibtex(cited_row)),
                tag("p", "Badge: ", tag("a", address, href=f"../{address}")), copied(f"badge-{number}", link),
            )
        )  # fmt: skip
    return tag("section", tag("h2", "Cite a row"), *made) if made else EMPTY


def _cited(subject: Subject, entry: Entry) -> Cited:
    line, board = entry.line, entry.line.board
    where = (subject.shown, entry.place, board["title"])
    figures = (f"{line.accuracy} %", line.rank, int(line.of("n")))
    return Cited(*where, *figures, board["key"], subject.version, subject.date)


def _badge_address(subject: Subject, entry: Entry) -> str:
    return f"badges/{subject.stem}-{entry.place or 'network'}-{entry.line.board['key']}.svg"


def copied(name: str, text: str) -> Markup:
    """A text to copy, with a button where there is a script."""
    return joined(
        [
            tag("pre", text, id=name, tabindex=0),
            tag("button", "Copy", type="button", data_copy=name, hidden=True),
        ]
    )


def entries_of(
    lines: Sequence[Line], rows: Mapping[tuple[str, str, str], Sequence[Row]], told: Mapping[str, Told]
) -> list[Entry]:
    """The entries of a block's lines.

    Args:
        lines: of one block.
        rows: by the key of the table, the block and the position.
        told: by fingerprint.
    """
    made = []
    for line in lines:
        own = rows.get((line.board["key"], line.block, str(line.place["name"])), ())
        known = [told[print_] for row in usable(own) if (print_ := str(row.get("fingerprint"))) in told]
        made.append(Entry(line, own, known))
    return made


def lines_of_block(boards: Sequence[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """The lines of all leaderboards by block."""
    by_block: dict[str, list[Line]] = defaultdict(list)
    for board in boards:
        for place in board["places"]:
            for row in range(len(place["block"])):
                line = Line(board, place, row)
                by_block[line.block].append(line)
    return dict(by_block)
