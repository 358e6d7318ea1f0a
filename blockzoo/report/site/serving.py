"""A site on this machine alone: pages over HTTP, to nobody else."""

from __future__ import annotations

import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from blockzoo.core.errors import UsageError

LOOPBACK = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")
"""Hosts that a request may name: a page elsewhere whose name was turned to this machine names another."""


class Pages(SimpleHTTPRequestHandler):
    """Files of one folder, of none beside it; no listings of folders, and nothing through links that lead out of it."""

    def do_GET(self) -> None:
        if self._is_allowed():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._is_allowed():
            super().do_HEAD()

    def end_headers(self) -> None:
        """With what keeps a browser from taking a page for something else."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Folders have an index.html or nothing."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of each request."""

    def _is_allowed(self) -> bool:
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
        if host not in NAMES:
            self.send_error(403)
            return False
        root, path = Path(self.directory).resolve(), Path(self.translate_path(self.path))
        inside = path.resolve().is_relative_to(root)
        if not inside or any(part.startswith(".") for part in path.resolve().relative_to(root).parts):
            self.send_error(404)
            return False
        return True


def server_of(folder: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of a site, listening on the loopback address; `serve_forever` answers.

    Args:
        folder: of the site.
        port: 0 for any that is free.

    Raises:
        UsageError: no site there, or the port is taken.
    """
    if not (Path(folder) / "index.html").is_file():
        raise UsageError(
            f"{folder} is no site, as it has no index.html: `blockzoo report --output {folder}` makes one"
        )
    try:
        return ThreadingHTTPServer((LOOPBACK, port), partial(Pages, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {port}: {error}; choose another, or 0 for any that is free") from error
