"""The model of a table, against all its equations solved at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from blockzoo.report.additive import Table, fitted_to


def at_once(table: Table) -> tuple[float, int, dict[object, float]]:
    """Deviation of what is left, its degrees of freedom, and the luck of each seed where cells and seeds are connected."""
    counts = Counter(seed for of in table.values() for seed in of)
    cells, seeds = list(table), [seed for seed, count in counts.items() if count > 1]
    places = [(c, s) for c, cell in enumerate(cells) for s, seed in enumerate(seeds) if seed in table[cell]]
    values = np.array([table[cells[c]][seeds[s]] for c, s in places])
    design = np.zeros((len(places), len(cells) + len(seeds)))
    for row, (c, s) in enumerate(places):
        design[row, [c, len(cells) + s]] = 1
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left, degrees = values - design @ solution, len(values) - int(rank)
    effects = solution[len(cells) :]
    connected = int(rank) == len(cells) + len(seeds) - 1
    luck = dict(zip(seeds, (effects - effects.mean()).tolist(), strict=True)) if connected else {}
    return float(np.sqrt(left @ left / max(degrees, 1))), degrees, luck


@pytest.mark.parametrize("share", [1.0, 0.8, 0.4])
def test_cells_are_eliminated_first_and_nothing_changes(share: float) -> None:
    draw = np.random.default_rng(0)
    fitted_ones = 0
    for _ in range(60):
        blocks, seeds = draw.integers(2, 10), range(draw.integers(2, 6))
        cells = [(f"B{number}", place) for number in range(blocks) for place in ("early", "late")]
        table: Table = {
            cell: {s: draw.normal(0.5, 0.02) for s in seeds if draw.random() < share} for cell in cells
        }
        table = {cell: of for cell, of in table.items() if of}
        if not table:
            continue
        fitted, (deviation, degrees, luck) = fitted_to(table), at_once(table)
        if fitted.deviation is None:
            assert degrees < 1 or deviation < 1e-11
            continue
        fitted_ones += 1
        assert fitted.degrees == degrees and fitted.luck == pytest.approx(luck, abs=1e-12)
        assert fitted.deviation == pytest.approx(deviation, abs=1e-12)
    assert fitted_ones > 30


def test_a_seed_that_one_cell_alone_has_says_nothing_of_the_rest() -> None:
    table: Table = {("A", "mid"): {0: 0.5, 1: 0.6, 2: 0.9}, ("B", "mid"): {0: 0.52, 1: 0.61}}
    fitted = fitted_to(table)
    assert fitted.degrees == 1 and 2 not in fitted.luck
    assert fitted.deviation == pytest.approx(0.01 / 2)
