"""What a results folder has of the other lenses, for the pages of a site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.card import coupled, tiled
from blockzoo.core.outputs import is_table, open_store
from blockzoo.report.site.further import Further
from blockzoo.report.site.space import AddedUp, Searches

if TYPE_CHECKING:
    from blockzoo.nas.search.simulate import Comparison


def further_of(source: str | Path) -> Further:
    """Coupling maps, plans in tiles and block-wise runs of its store; searches and added-up times in it and in folders in it.

    Args:
        source: a results folder, a store or a table; a table has nothing else.

    Raises:
        StoreError: there is no store.
        DataError: a search or an agreement of times cannot be read; the message names the file.
    """
    if is_table(source):
        return Further(of_space="macro", on_tiles="tiled")
    store, folder = open_store(source), Path(source)
    maps, plans, runs = (store.records(kind) for kind in (coupled.KIND, tiled.KIND, "blockwise"))
    inside = folder if folder.is_dir() else None
    searches = [] if inside is None else list(_searches(inside))
    added = [] if inside is None else list(_added(inside))
    return Further(maps, plans, runs, on_tiles="tiled", of_space="macro", searches=searches, added=added)


def _searches(folder: Path) -> Iterator[Searches]:
    for path in _in(folder, "manifest.json"):
        from blockzoo.nas.search.written import read

        if searches := read(path.parent):
            yield _told(searches)


def _told(made: Comparison) -> Searches:
    rows = made.rows()
    lines = {}
    for row in rows:
        mean, low, high = (column.tolist() for column in made.interval(row["algorithm"]))
        certain = row["regret_low"] is not None
        lines[row["algorithm"]] = (mean, low if certain else None, high if certain else None)
    n = {row["algorithm"]: row["n"] for row in rows}
    return Searches(made.heading, made.at.tolist(), made.unit, lines, n)


def _added(folder: Path) -> Iterator[AddedUp]:
    for path in _in(folder, "latency-*.json"):
        from blockzoo.nas.ranking.latency_agreement import LatencyAgreement

        agreement = LatencyAgreement.load(path)
        pairs = list(zip(agreement.measured_ms.tolist(), agreement.predicted_ms.tolist(), strict=True))
        yield AddedUp(agreement.where, str(agreement), pairs)


def _in(folder: Path, name: str) -> list[Path]:
    """Files of a name in a folder and in folders right in it."""
    return sorted([*folder.glob(name), *folder.glob(f"*/{name}")])
