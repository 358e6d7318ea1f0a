"""What the figures of a block rest on: curves, times, trainings, the command that makes them again, how to cite them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from blockzoo.core.record import Record
from blockzoo.core.table import OWN, Row, way_of
from blockzoo.core.text import markdown, plain
from blockzoo.core.times import median_interval, throughput
from blockzoo.report.groups import is_number
from blockzoo.report.site.citing import Row as Cited
from blockzoo.report.site.citing import badge, bibtex
from blockzoo.report.site.commands import beyond_commands, command_of
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag
from blockzoo.report.site.sketches import curves, strip
from blockzoo.report.site.standing import Entry, Subject
from blockzoo.report.site.words import NONE, figure

STRIPS = 400
"""Samples of a strip that are drawn."""
ENVIRONMENT = ("cpu", "gpu", "device", "threads", "dtype", "torch", "blockzoo", "git", "os", "python")
"""What a page says of where trainings ran, where it is known."""


def curves_of(subject: Subject) -> Markup:
    """Validation accuracy and training loss of each training."""
    pictures = []
    for entry in subject.positions:
        series = [[100 * value for value in training.curves["val_acc"]] for training in entry.told]
        losses = [training.curves["train_loss"] for training in entry.told]
        pair = [
            curves(f"{entry.short}: validation accuracy", series, " %"),
            curves("training loss", losses),
        ]
        pictures += [part for part in pair if part]
    if not pictures:
        return EMPTY
    note = tag("p", "One line for each training.", class_="small")
    return tag("section", tag("h2", "Curves"), note, tag("div", *pictures, class_="sketches"))


def times_of(subject: Subject) -> Markup:
    """Of its networks, in every way that they were timed in."""
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
                entry.short,
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
        (f"{entry.short}, {_way(record)}", by_batch[1]) for entry, record, by_batch in timed if 1 in by_batch
    ]
    own = [value for _, samples in of_one for value in samples]
    limits = (min(own), max(own)) if own else (0.0, 1.0)
    pictures = [
        tag("figure", strip(name, samples[:STRIPS], limits, "ms"), tag("figcaption", name, class_="small"))
        for name, samples in of_one
    ]
    note = tag(
        "p",
        "Medians with 95 % intervals from order statistics, of the whole deployed network.",
        class_="small",
    )
    return tag(
        "section", tag("h2", "Latency by batch, dtype and runtime"), note,
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
        keys = dict.fromkeys(training.timing_key for training in entry.told if training.timing_key)
        for key in keys:
            for record in subject.latencies.get(key, ()):
                yield entry, record


def _by_batch(record: Record) -> Iterator[tuple[int, list[float]]]:
    for name in sorted(record.samples, key=len):
        size = name.removeprefix("network_batch").removesuffix("_ms")
        times = [value for value in record.samples[name] if is_number(value)]
        if name.startswith("network_batch") and size.isdigit() and times:
            yield int(size), times


def trainings_of(subject: Subject) -> Markup:
    """Provenance: every training, failed ones too, and where they ran."""
    lines = [
        (
            entry.short, "" if row.get("seed") is None else row["seed"],
            _percent(row.get("test_acc")), _percent(row.get("val_acc")),
            row.get("status") or "ok", _tier(row), plain(str(row.get("reason") or ""), lines=False),
            str(row.get("timestamp") or "")[:19],
            str(row.get("fingerprint") or ""),
        )
        for entry in subject.positions
        for row in entry.rows
    ]  # fmt: skip
    heads = (
        "position",
        "seed",
        "test, %",
        "validation, %",
        "status",
        "tier",
        "reason",
        "ended (UTC)",
        "fingerprint",
    )
    where: dict[str, dict[str, None]] = {}
    for entry in subject.positions:
        sources = [training.environment for training in entry.told] or entry.rows
        for name in ENVIRONMENT:
            for of in sources:
                if of.get(name) not in (None, ""):
                    where.setdefault(name, {})[str(of[name])[:120]] = None
    surroundings = [(name, ", ".join(values)) for name, values in where.items()]
    notes = dict.fromkeys(str(row["notes"]) for e in subject.positions for row in e.rows if row.get("notes"))
    return tag(
        "section", tag("h2", "Where the figures come from"),
        facts([*surroundings, ("remarks", "; ".join(notes)[:2000])]),
        tag("details", tag("summary", f"All {len(lines)} trainings"), table("Trainings", heads, lines, left=(4, 5, 6, 7, 8))),
    )  # fmt: skip


def _tier(row: Row) -> str:
    tier, by = str(row.get("tier") or OWN), row.get("submitted_by")
    return plain(f"{tier}, by {by}" if by else tier, lines=False)


def _percent(value: object) -> str:
    return figure(100 * value, ".2f") if is_number(value) else NONE


def again_of(subject: Subject) -> Markup:
    """Positions that one command makes stand in it together."""
    block = subject.name.partition(" x")[0].partition(" (")[0]  # what follows is its width and depth
    together: dict[str, list[Entry]] = defaultdict(list)
    for entry in subject.positions:
        if entry.told:
            together[command_of(entry.told[-1].spec, block, entry.place and "mid", entry.seeds)].append(entry)
    parts = []
    for number, entries in enumerate(together.values()):
        first = entries[0]
        spec, places = first.told[-1].spec, " ".join(entry.place for entry in entries)
        command = command_of(spec, block, places, first.seeds)
        listing = tag("p", command) if beyond_commands(spec) else copied(f"again-{number}", command)
        parts.append(joined([tag("h3", "; ".join(entry.short for entry in entries)), listing]))
    if not parts:
        parts = [tag("p", "A table does not say how its rows were asked for; a store does.", class_="quiet")]
    return tag("section", tag("h2", "Make it again"), *parts)


def cite_of(subject: Subject) -> Markup:
    """BibTeX of each row, and its badge."""
    citations = []
    for number, entry in enumerate(subject.positions):
        if entry.line.mean is None:
            continue
        address = _badge_address(subject, entry)
        cited_row = _cited(subject, entry)
        words = markdown(f"{cited_row.name}: {cited_row.accuracy}")
        link = f"[![{words}]({address})](blocks/{subject.stem}.html)"
        citations.append(
            tag(
                "details", tag("summary", entry.short),
                copied(f"bibtex-{number}", bibtex(cited_row)),
                tag("p", "Badge: ", tag("a", address, href=f"../{address}")), copied(f"badge-{number}", link),
            )
        )  # fmt: skip
    return tag("section", tag("h2", "Cite a row"), *citations) if citations else EMPTY


def _cited(subject: Subject, entry: Entry) -> Cited:
    line, board = entry.line, entry.line.board
    where = (subject.shown, entry.place, board["title"])
    figures = (entry.accuracy, line.rank, line.n)
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


def badges_of(subject: Subject) -> Iterator[tuple[str, str]]:
    """The address and the text of a badge of each of its positions."""
    for entry in subject.positions:
        if entry.line.mean is not None:
            yield _badge_address(subject, entry), badge(_cited(subject, entry))
