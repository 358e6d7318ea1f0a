"""Square maps of blocks against blocks: as a picture (PNG, PDF, SVG), an interactive page, a strip or an animation. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.files import write_atomically, write_text
from blockzoo.core.text import page, picture, script

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

Matrix = npt.NDArray[np.float64]
COLOURS = "viridis"
MARK = "#d55e00"
DECADES = 4.0
"""What lies further below the largest value is drawn as if it were here."""
MOST_WRITTEN = 12
"""Blocks up to which every value stands in its cell."""


@dataclass(frozen=True)
class HeatMap:
    """A map and its words.

    Args:
        values: (B, B), none negative.
        labels: of the blocks.
        title: what is shown, of what.
        quantity: what a value is, for the colour bar.
        details: further (B, B) maps by name, shown in the page when a cell is pointed at.
        doubtful: (B, B) which values are not sure, and are marked in every picture; None for none.
        doubt: what the mark means.
    """

    values: Matrix
    labels: tuple[str, ...]
    title: str
    quantity: str
    details: dict[str, Matrix]
    doubtful: npt.NDArray[np.bool_] | None = None
    doubt: str = "has not converged: a lower bound"

    @property
    def caption(self) -> str:
        """The title, and what the mark means where there is one."""
        marked = self.doubtful is not None and self.doubtful.any()
        return f"{self.title}\n(hatched: {self.doubt})" if marked else self.title


def draw_map(chart: HeatMap, path: Path) -> Path:
    """One map as a picture; the suffix of `path` says which kind."""
    _save(map_figure(chart), path)
    return path


def map_figure(chart: HeatMap) -> Figure:
    """One map as a figure."""
    from blockzoo.report.drawing import Figure

    count = len(chart.labels)
    side = min(14.0, max(4.2, 0.34 * count + 2.2))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    image = _draw(axes, chart, _limits([chart.values]))
    axes.set_title(picture(chart.caption), fontsize=10)
    figure.colorbar(image, ax=axes, label=picture(chart.quantity), shrink=0.85)
    if count <= MOST_WRITTEN:
        _write_values(axes, chart, image)
    return figure


def draw_strip(charts: Sequence[HeatMap], path: Path) -> Path:
    """Maps side by side with one scale of colours: how a map changes along training."""
    from blockzoo.report.drawing import Figure

    side = 2.1
    figure = Figure(figsize=(side * len(charts) + 1.6, side + 0.9), layout="constrained")
    limits = _limits([chart.values for chart in charts])
    places = figure.subplots(1, len(charts), squeeze=False)[0]
    for axes, chart in zip(places, charts, strict=True):
        image = _draw(axes, chart, limits, labelled=axes is places[0])
        axes.set_title(picture(chart.caption), fontsize=9)
    figure.colorbar(image, ax=list(places), label=picture(charts[0].quantity), shrink=0.9)
    _save(figure, path)
    return path


def animate(charts: Sequence[HeatMap], path: Path, seconds: float = 0.7) -> Path:
    """The same maps one after the other, as a GIF; each is shown for so long."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from blockzoo.report.drawing import Figure

    limits = _limits([chart.values for chart in charts])
    frames = []
    for chart in charts:
        figure = Figure(figsize=(4.8, 4.0), dpi=110, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        figure.colorbar(_draw(axes, chart, limits), ax=axes, label=picture(chart.quantity), shrink=0.85)
        axes.set_title(picture(chart.caption), fontsize=10)
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = frames
    write_atomically(
        path,
        lambda temporary: first.save(
            temporary, "GIF", save_all=True, append_images=rest, duration=int(1000 * seconds), loop=0
        ),
    )
    return path


def write_page(chart: HeatMap, path: Path) -> Path:
    """The map as one page that needs no network: point at a cell for its values, choose the map and the scale."""
    maps = {chart.quantity: chart.values, **chart.details}
    data = {
        "labels": list(chart.labels),
        "maps": {name: [[float(f"{v:.6g}") for v in row] for row in values] for name, values in maps.items()},
        "decades": DECADES,
        "doubtful": [] if chart.doubtful is None else chart.doubtful.tolist(),
        "doubt": chart.doubt,
    }
    text = PAGE.replace("DATA", script(data)).replace("TITLE", page(chart.title))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def _limits(maps: Sequence[Matrix]) -> tuple[float, float]:
    most = max(float(values.max()) for values in maps) or 1.0
    least = min((float(v[v > 0].min()) for v in maps if (v > 0).any()), default=most)
    return max(least, most * 10**-DECADES) * 0.999, most


def _draw(axes: Any, chart: HeatMap, limits: tuple[float, float], labelled: bool = True) -> Any:
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    image = axes.imshow(
        np.clip(chart.values, limits[0], None), cmap=COLOURS, norm=LogNorm(*limits), interpolation="nearest"
    )
    places, labels = range(len(chart.labels)), [picture(label) for label in chart.labels] if labelled else []
    size = max(4.0, 9.0 - 0.09 * len(chart.labels))
    axes.set_xticks(places, labels, rotation=90, fontsize=size)
    axes.set_yticks(places, labels, fontsize=size)
    axes.tick_params(length=0)
    for row, column in np.argwhere(chart.doubtful) if chart.doubtful is not None else ():
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=MARK, hatch="////", linewidth=0)
        )
    return image


def _write_values(axes: Any, chart: HeatMap, image: Any) -> None:
    for (row, column), value in np.ndenumerate(chart.values):
        sign = "\u2265 " if chart.doubtful is not None and chart.doubtful[row, column] else ""
        dark = image.norm(max(value, image.norm.vmin)) < 0.6
        axes.text(
            column,
            row,
            f"{sign}{float(f'{value:.2g}'):g}",  # two digits, and 120 rather than 1.2e+02
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.removeprefix(".")
    write_atomically(
        path, lambda temporary: figure.savefig(temporary, format=kind, dpi=160, bbox_inches="tight")
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>TITLE</title>
<style>
body { font: 15px system-ui, sans-serif; margin: 2rem; color: #222; }
h1 { font-size: 1.15rem; font-weight: 600; }
select, label { font: inherit; margin-right: 1rem; }
table { border-collapse: collapse; margin-top: 1rem; }
td { width: 26px; height: 26px; padding: 0; }
td.doubtful { background-image: repeating-linear-gradient(45deg, #d55e00 0 2px, transparent 2px 7px) !important; }
td:hover { outline: 2px solid #d55e00; outline-offset: -2px; }
th { font-weight: 400; font-size: 12px; text-align: right; padding-right: 6px; white-space: nowrap; }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 0 0 6px 0; }
#told { margin-top: 1rem; min-height: 8em; white-space: pre; font-family: ui-monospace, monospace; font-size: 13px; }
</style>
<h1>TITLE</h1>
<label>map <select id="which"></select></label><label><input type="checkbox" id="log" checked> logarithmic</label>
<div id="place"></div><div id="told">point at a cell</div>
<script>
const data = DATA;
const which = document.getElementById("which"), log = document.getElementById("log"), told = document.getElementById("told");
for (const name in data.maps) which.add(new Option(name));
const stops = [[68,1,84],[59,82,139],[33,145,140],[94,201,98],[253,231,37]];
function colour(t) {
  const x = Math.min(Math.max(t, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(x), stops.length - 2), f = x - i;
  return "rgb(" + stops[i].map((c, k) => Math.round(c + f * (stops[i + 1][k] - c))).join(",") + ")";
}
function share(v, most) {
  if (!log.checked) return v / most;
  return v > 0 ? 1 + Math.log10(v / most) / data.decades : 0;
}
function draw() {
  const values = data.maps[which.value], most = Math.max(...values.flat()) || 1, table = document.createElement("table");
  const head = table.createTHead().insertRow();
  head.append(document.createElement("th"));
  for (const label of data.labels) head.append(Object.assign(document.createElement("th"), {textContent: label}));
  const body = table.createTBody();
  values.forEach((row, i) => {
    const line = body.insertRow();
    line.append(Object.assign(document.createElement("th"), {textContent: data.labels[i]}));
    row.forEach((value, j) => {
      const cell = line.insertCell();
      cell.style.backgroundColor = colour(share(value, most));
      const doubtful = data.doubtful.length > 0 && data.doubtful[i][j];
      if (doubtful) cell.className = "doubtful";
      cell.onmouseenter = () => {
        const title = data.labels[i] + "  x  " + data.labels[j] + (doubtful ? "  (" + data.doubt + ")" : "");
        told.textContent = title + "\\n" + Object.entries(data.maps)
          .map(([name, map]) => name.padEnd(34) + map[i][j].toPrecision(5)).join("\\n");
      };
    });
  });
  document.getElementById("place").replaceChildren(table);
}
which.onchange = log.onchange = draw;
draw();
</script></html>
"""
