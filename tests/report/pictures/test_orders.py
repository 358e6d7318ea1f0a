"""The map of orders: each tau and each interval at the names of its two experiments."""

from __future__ import annotations

from blockzoo.report.elsewhere import elsewheres
from blockzoo.report.pictures.orders import draw_orders
from tests.report.test_elsewhere import rows


def test_each_tau_stands_where_its_two_experiments_cross() -> None:
    late = rows(position="late", reverse=True)
    made = elsewheres([*rows(position="early", noise=0.03), *rows(), *late, *rows(epochs=10)])
    figure = draw_orders(made)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["3 epochs, early", "3 epochs, mid", "3 epochs, late", "10 epochs, mid"]
    cells = {(names[round(t.get_position()[1])], names[round(t.get_position()[0])]): t.get_text()
             for t in axes.texts if t.get_gid() == "cell"}  # fmt: skip
    ends = list(dict.fromkeys(end for one in made for end in one.ends))
    assert len(ends) == 4, "four experiments, whichever way they are compared"
    for one in made:
        first, second = (names[ends.index(end)] for end in one.ends)
        assert all(one.position in name and (one.setting != "epochs" or value in name)
                   for name, value in zip((first, second), one.values, strict=True))  # fmt: skip
        low, high = one.agreement.interval or (0, 0)
        wanted = f"{one.agreement.tau:+.2f}\n[{low:+.2f}, {high:+.2f}]"
        assert cells[first, second] == cells[second, first] == wanted
    diagonal = {name: cells[name, name] for name in names}
    assert all("[" not in text and 0 < float(text) <= 1 for text in diagonal.values())
    assert float(diagonal[names[0]]) < float(diagonal[names[1]]), "early is the noisy one"
