"""One page of the site: its skeleton, and a policy by which a browser lets no request out of it.

Styles and scripts stand in the page and are allowed by their digests alone, so markup that came in with a name would run nothing,
even if its escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from blockzoo.core.text import page, script

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2z' fill='%230b5cad'/%3E%3Cpath d='M9 9h5v5H9z' fill='%2395a3b3'/%3E%3C/svg%3E"
)
DATA = "data"
"""The id of the element that holds a page's data."""


@dataclass(frozen=True)
class Shell:
    """What all pages of one site share.

    Args:
        title: of the site.
        made: how and when it was made, for the foot.
        pages: of the head: words and addresses from the root of the site.
        home: the address of its first page.
    """

    title: str
    made: str
    pages: Sequence[tuple[str, str]]
    home: str = "index.html"

    def page(
        self,
        title: str,
        body: str,
        *,
        here: str,
        scripts: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
    ) -> str:
        """The whole text of a page.

        Args:
            title: of the page, as plain text.
            body: HTML of its main part, escaped already.
            here: its address from the root of the site.
            scripts: files of `assets/` beside `base.js`, in their order.
            data: what they draw.
        """
        style, code = asset("site.css"), _code(("base.js", *scripts))
        up = "../" * here.count("/")
        links = "".join(
            f'<a href="{page(up + address)}"{" aria-current=page" * (address == here)}>{page(words)}</a>'
            for words, address in self.pages
        )
        values = (
            "" if data is None else f'<script type="application/json" id="{DATA}">{script(data)}</script>\n'
        )
        whole = title if title == self.title else f"{title} - {self.title}"
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(style, code)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{page(whole)}</title>
<link rel="icon" href="{ICON}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><nav aria-label="Pages"><a class="mark" href="{page(up + self.home)}">{page(self.title)}</a>{links}</nav>
<button type="button" id="theme" hidden>Dark</button></header>
<main id="main" tabindex="-1">
{body}
</main>
<footer><p>{page(self.made)}</p></footer>
{values}<script>{code}</script>
</body>
</html>
"""


def policy(style: str, code: str) -> str:
    """The Content-Security-Policy of a page with this style and this script: nothing is fetched, sent or framed."""
    return (
        f"default-src 'none'; script-src '{_digest(code)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def asset(name: str) -> str:
    """A file of `assets/`."""
    return (files("blockzoo.report.site") / "assets" / name).read_text(encoding="utf-8")


def _code(names: tuple[str, ...]) -> str:
    return '"use strict";(()=>{\n' + "\n".join(map(asset, names)) + "})();"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
