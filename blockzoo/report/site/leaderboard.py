"""The first page: every table of the results, one shown at a time, as a leaderboard and as accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blockzoo.core.quantity import quantities
from blockzoo.core.text import page
from blockzoo.report.charts import AXES
from blockzoo.report.site.pairs import MOST
from blockzoo.report.site.shell import Shell

SCRIPTS = ("boards.js", "plot.js", "leaderboard.js")
SHORT = {
    "latency_ms": "latency, ms",
    "params_total": "parameters",
    "peak_activation_bytes": "activations, B",
    "memory_mb": "memory, MiB",
    "flops": "FLOPs",
}
"""Headings of costs where the first word of the axis does not do."""


def axes() -> dict[str, dict[str, str]]:
    """What can stand on the horizontal axis: words of it, and a short heading."""
    by_name = quantities()
    return {
        name: {"label": axis.axis, "short": SHORT.get(name, by_name[name].label or name)}
        for name, axis in AXES.items()
    }


def leaderboard(
    frame: Shell,
    boards: Sequence[Mapping[str, Any]],
    addresses: Mapping[str, str],
    lead: str,
    *,
    here: str = "index.html",
    elsewhere: Sequence[tuple[str, str]] = (),
) -> str:
    """The text of the page.

    Args:
        frame: of the site.
        boards: what it shows.
        addresses: of the pages of blocks, by name.
        lead: what the results are, in a sentence.
        here: its address.
        elsewhere: titles and addresses of pages with further tables.
    """
    pages = dict.fromkeys([here, *(address.partition("#")[0] for _, address in elsewhere)])
    links = ", ".join(f'<a href="{page(address)}">{page(address)}</a>' for address in sorted(pages, key=len))
    more = "".join(f'<li><a href="{page(address)}">{page(title)}</a></li>' for title, address in elsewhere)
    body = f"""<h1>{page(frame.title)}</h1>
<p class="lead">{page(lead)}</p>
<noscript><p>A script of this page draws its tables, and is switched off; leaderboard.csv has all figures.</p></noscript>
{EMPTY if not boards else ""}
<section aria-label="Choose what is shown"{"" if boards else " hidden"}>
<div class="controls"><div class="controls" id="controls"></div>
<label class="field" for="find"><span>search</span><input type="search" id="find" placeholder="block or position"></label></div>
<p class="quiet" id="none" hidden>Nothing fits this choice.</p>
<p id="strayed" hidden>This table is not on this page. Pages with tables: {links}.</p>
<p class="skip" role="status" id="spoken"></p>
</section>
<div id="shown"{"" if boards else " hidden"}>
<section aria-label="Accuracy against cost" id="picture"><div class="controls" id="of-picture"></div>
<figure><div id="plot"></div><figcaption class="small" id="legend"></figcaption></figure></section>
<section aria-label="Leaderboard">
<p class="quiet" id="caption"></p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of results, scrolls sideways">
<table id="table" aria-labelledby="caption"></table></div>
<button type="button" id="more" hidden>Show all</button>
<p class="small" id="told"></p>
<p class="small"><a id="compare" href="#">Compare two blocks of this table</a> &middot;
<a href="leaderboard.csv">All figures as CSV</a></p>
</section>
</div>
{f"<h2>Further tables</h2><ul>{more}</ul>" if more else ""}"""
    data = {"boards": boards, "axes": axes(), "addresses": addresses, "most": MOST}
    return frame.page(frame.title, body, here=here, scripts=SCRIPTS, data=data)


EMPTY = "<p>No training stands in a table yet: none has ended, or all of them chose learning rates.</p>"
