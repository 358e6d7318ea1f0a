"""The model of a table, against all its equations solved at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from blockzoo.report.additive import Table, fitted_to, networks_of, tables_of


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
        drawn = {cell: {s: draw.normal(0.5, 0.02) for s in seeds if draw.random() < share} for cell in cells}
        table = Table({cell: of for cell, of in drawn.items() if of})
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
    table = Table({("A", "mid"): {0: 0.5, 1: 0.6, 2: 0.9}, ("B", "mid"): {0: 0.52, 1: 0.61}})
    fitted = fitted_to(table)
    assert fitted.degrees == 1 and 2 not in fitted.luck
    assert fitted.deviation == pytest.approx(0.01 / 2)


def on_few_images(draw: np.random.Generator, **more: object) -> list[dict[str, object]]:
    """Ten blocks at three positions, two seeds, 360 test images: accuracies of different networks tie."""
    return [
        {"block": f"B{b}", "position": place, "seed": seed, "test_acc": round(360 * draw.normal(0.97, 0.004)) / 360}
        | {"test_loss": draw.normal(0.1, 0.01), "num_blocks": 1, "active_blocks": 1} | more
        for b in range(10) for place in ("early", "mid", "late") for seed in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize("more", [{"filler": "B0"}, {"filler": "Z"}, {}, {"test_loss": None}])
def test_networks_whose_accuracies_tie_are_several(more: dict[str, object]) -> None:
    draw, tied = np.random.default_rng(0), 0
    for _ in range(10):
        (table,) = tables_of(on_few_images(draw, **more), "test_acc").values()
        tied += len({(block, *of.values()) for (block, _), of in table.items()}) < len(table)
        different = {cell for cell in table if more.get("filler") != cell[0]}
        networks = networks_of(table)
        assert all(networks[cell] == cell for cell in different)
    assert tied > 3


@pytest.mark.parametrize(
    ("own", "count"),
    [
        ({"filler": "A"}, 1),
        ({"filler": "A", "active_width": 2, "budget": "iso-macs 1"}, 2),
        ({"filler": "A", "active_blocks": 2, "budget": "iso-macs 1"}, 2),
        ({"filler": "B"}, 2),
        ({"test_loss": 0.5}, 1),
        ({}, 2),
    ],
)
def test_the_filler_under_test_is_one_network_and_so_are_rows_alike_in_losses(
    own: dict[str, object], count: int
) -> None:
    rows = [
        {"block": "A", "position": place, "seed": seed, "test_acc": 0.5 + seed / 10, "num_blocks": 1, **own}
        for place in ("early", "late") for seed in range(3)
    ]  # fmt: skip
    (table,) = tables_of(rows, "test_acc").values()
    assert len(set(networks_of(table).values())) == count
