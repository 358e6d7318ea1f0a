"""The documentation builds as a site without a network; its links lead somewhere, and its pages load nothing from elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from tests.documented import ROOT

SOURCES = ("zensical.toml", "CONTRIBUTING.md", "compat", "docs", "blockzoo")
LOADS = {"src", "srcset", "poster", "data"}
"""Attributes that make a browser fetch something; `href` does in a `link`."""
IN_STYLES = re.compile(r"(?:url\(|@import )[\"']?([^\"')]+)")
NOWHERE = "http://127.0.0.1:9"
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "reference.py"))


class Page(HTMLParser):
    """What one page links to, what it loads, and where it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.loaded += [given[name] for name in LOADS & set(given)]
        if "href" in given:
            (self.loaded if tag == "link" else self.links).append(given["href"])


class Site(NamedTuple):
    """The pages by their path, where they lie, and what the build said."""

    pages: dict[str, Page]
    folder: Path
    said: str


def built(folder: Path) -> Site:
    """The site, made in a folder of its own by a zensical that reaches no other host."""
    for name in SOURCES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    unreachable = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        env={**os.environ, **unreachable, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = folder / "build" / "site"
    paths = [path for path in made.rglob("*.html") if path.name != "404.html"]
    pages = {str(path.relative_to(made)): Page(path.read_text()) for path in paths}
    return Site(pages, made, done.stdout + done.stderr)


def dead_links(site: Site) -> list[str]:
    """Links within the site to a page, file or anchor that is not there."""
    faults = []
    for name, page in site.pages.items():
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            place, _, anchor = unquote(urljoin(name, link)).partition("#")
            if not (site.folder / place).exists():
                faults.append(f"{name}: {link}")
            elif anchor and place in site.pages and anchor not in site.pages[place].anchors:
                faults.append(f"{name}: {link}, no such anchor")
    return faults


def loaded_from_elsewhere(site: Site) -> list[str]:
    """What pages and their styles fetch from other hosts."""
    everything = [(name, what) for name, page in site.pages.items() for what in page.loaded]
    for path in site.folder.rglob("*.css"):
        everything += [(path.name, what) for what in IN_STYLES.findall(path.read_text())]
    return [f"{name}: {what}" for name, what in everything if re.match(r"(?:https?:)?//", what)]


def test_the_site_is_built_and_whole(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="pip install -c constraints.txt -e '.[docs]'")
    site, docs = built(tmp_path), ROOT / "docs"
    assert set(site.pages) == {str(p.relative_to(docs).with_suffix(".html")) for p in docs.rglob("*.md")}
    assert re.findall(r".*griffe.*", site.said) == [], (
        "arguments that a docstring names and a signature has not"
    )
    assert dead_links(site) == []
    assert loaded_from_elsewhere(site) == []


def test_what_is_wrong_with_a_page_is_seen(tmp_path: Path) -> None:
    links = (
        "<a href='b.html'>1</a> <a href='a.html#there'>2</a> <a href='#nowhere'>3</a> <h2 id='there'>4</h2>"
    )
    loads = "<link href='https://fonts.example/f.css'> <script src='//cdn.example/s.js'></script> <img src='i.png'>"
    page = Page(links + loads)
    (tmp_path / "a.html").touch()
    (tmp_path / "s.css").write_text("p { background: url('https://i.example/p.png'), url(p.png) }")
    site = Site({"a.html": page}, tmp_path, "")
    assert dead_links(site) == ["a.html: b.html", "a.html: #nowhere, no such anchor"]
    assert [fault.rpartition("/")[2] for fault in loaded_from_elsewhere(site)] == ["f.css", "s.js", "p.png"]


def test_the_reference_lists_what_is_public() -> None:
    """`python scripts/reference.py` writes the pages anew."""
    pages = {path.stem: path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert pages == REFERENCE["pages"]()


@pytest.mark.parametrize("package", REFERENCE["LENSES"].values())
def test_what_is_public_is_explained(package: str) -> None:
    module = importlib.import_module(package)
    objects = [getattr(module, name) for name in module.__all__]
    assert [obj for obj in objects if callable(obj) and not obj.__doc__] == []
