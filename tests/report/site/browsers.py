"""A real browser for tests of pages: Debian's chromium, driven by playwright. Tests that need it skip where it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell")


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs a browser: make browser, as root, or apt-get install chromium-headless-shell")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


class Visit:
    """A page of a site, with every request and complaint since it was opened."""

    def __init__(self, browser: Any, folder: Path, **how: Any) -> None:
        self.folder = folder
        self.page = browser.new_page(**how)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, address: str) -> Any:
        """A page by its address from the root of the site."""
        self.page.goto("about:blank")
        self.requests.clear()
        self.page.goto(f"{self.folder.as_uri()}/{address}")
        return self.page

    def column(self, key: str) -> list[str]:
        """The texts of a column of the leaderboard, by the key of its heading."""
        return [str(text) for text in self.page.evaluate(COLUMN, key)]

    @property
    def blocks(self) -> list[str]:
        """Of the leaderboard's lines, in their order."""
        return self.column("block")


COLUMN = """key => {
  const place = [...document.querySelectorAll("#table thead tr > *")].findIndex((head) => head.dataset.key === key);
  return [...document.querySelectorAll("#table tbody tr")].map((row) => row.children[place].textContent.trim());
}"""


def axe() -> str:
    """The source of axe-core, which finds what makes pages hard to use for some."""
    package = pytest.importorskip(
        "axe_playwright_python", reason="needs axe-core: pip install axe-playwright-python"
    )
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
