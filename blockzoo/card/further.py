"""What a store has of other lenses, for the pages of a site."""

from __future__ import annotations

from blockzoo.card import coupled, tiled
from blockzoo.core.store import Store
from blockzoo.report.site.further import Further


def further_of(store: Store | None) -> Further:
    """Coupling maps and plans in tiles, and how the names of trainings on tiles and of networks of the space begin."""
    maps, plans = ([] if store is None else store.records(kind) for kind in (coupled.KIND, tiled.KIND))
    return Further(maps, plans, on_tiles="tiled", of_space="macro")
