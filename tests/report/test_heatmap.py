"""Maps as pictures and pages: what is written holds what was given."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blockzoo.report.heatmap import DECADES, MARK, HeatMap, _limits, animate, draw_map, draw_strip, write_page
from tests.sampled import sampled


def chart(blocks: int = 4, title: str = "a map") -> HeatMap:
    values = np.random.default_rng(blocks).uniform(1e-3, 1, (blocks, blocks))
    labels = tuple(f"{i} <Conv2d>" for i in range(blocks))
    return HeatMap(values, labels, title, "spectral norm", {"at most": values * 2})


@pytest.mark.parametrize("blocks", sampled([1, 4, 62], [4]))
def test_pictures_of_every_kind(blocks: int, tmp_path: Path) -> None:
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        path = draw_map(chart(blocks), tmp_path / f"x{suffix}")
        assert path.read_bytes().startswith(start)
    assert np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).std() > 10


def test_the_page_holds_every_value_and_no_markup_of_labels(tmp_path: Path) -> None:
    made = chart(title="<b>bold</b>")
    text = write_page(made, tmp_path / "x.html").read_text()
    data = json.loads(re.search(r"const data = (.*);\n", text)[1].replace("<\\/", "</"))  # type: ignore[index]
    np.testing.assert_allclose(data["maps"]["spectral norm"], made.values, rtol=1e-5)
    np.testing.assert_allclose(data["maps"]["at most"], 2 * made.values, rtol=1e-5)
    assert data["labels"][0] == "0 <Conv2d>" and "<b>" not in text and "http" not in text


def test_strips_and_animations_share_one_scale(tmp_path: Path) -> None:
    charts = [chart(4, f"round {i}") for i in range(3)]
    assert draw_strip(charts, tmp_path / "strip.png").stat().st_size > 5000
    with Image.open(animate(charts, tmp_path / "along.gif")) as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]


def test_colours_span_at_most_some_decades() -> None:
    low, high = _limits([np.array([[1e-12, 1.0], [1.0, 0.0]])])
    assert high == 1.0 and low == pytest.approx(10**-DECADES, rel=1e-2)
    assert _limits([np.zeros((2, 2))])[1] == 1.0


def test_doubtful_values_are_marked_everywhere(tmp_path: Path) -> None:
    """In pictures by hatching and in words, in the page by a class and in words; a map without any is as before."""
    plain = chart(4)
    doubtful = np.zeros((4, 4), bool)
    doubtful[1, 2] = doubtful[2, 1] = True
    marked = replace(plain, doubtful=doubtful)
    assert marked.caption == "a map\n(hatched: has not converged: a lower bound)"
    assert plain.caption == replace(plain, doubtful=np.zeros((4, 4), bool)).caption == "a map"
    draw_map(plain, tmp_path / "plain.svg")
    draw_map(marked, tmp_path / "marked.svg")
    assert MARK not in (tmp_path / "plain.svg").read_text() and MARK in (tmp_path / "marked.svg").read_text()
    for name, made in (("plain", plain), ("marked", marked)):
        draw_strip([made], tmp_path / f"{name}.png")
        animate([made], tmp_path / f"{name}.gif")
    for suffix in ("png", "gif"):
        assert (tmp_path / f"plain.{suffix}").read_bytes() != (tmp_path / f"marked.{suffix}").read_bytes()
    text = write_page(marked, tmp_path / "x.html").read_text()
    data = json.loads(re.search(r"const data = (.*);\n", text)[1].replace("<\\/", "</"))  # type: ignore[index]
    assert np.argwhere(data["doubtful"]).tolist() == [[1, 2], [2, 1]] and "lower bound" in data["doubt"]
