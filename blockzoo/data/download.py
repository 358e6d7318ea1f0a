"""Fetch a dataset's archive where there is a network, and find out within seconds where there is none."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

from blockzoo.core.errors import StoreError
from blockzoo.core.files import write_atomically
from blockzoo.core.locks import locked
from blockzoo.core.progress import working

PATIENCE_S = 4.0
STALL_S = 30.0
MIB = 2**20
PIECE = MIB // 4
"""Bytes that are read at a time."""


def download_archive(url: str, md5: str, folder: Path) -> str | None:
    """Download, check and unpack into `folder`; None if that worked, else why it did not."""
    if reason := unreachable(url):
        return reason
    from torchvision.datasets.utils import download_and_extract_archive

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_S)  # torchvision's downloader has no timeout of its own
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(
            folder / ".download.lock", wait=True
        ):  # the workers of a sweep would write one file all at once
            download_and_extract_archive(url, str(folder), md5=md5)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, StoreError) as error:
        return f"{url}: {error}"
    finally:
        socket.setdefaulttimeout(before)
    return None


def download_file(url: str, path: Path, sha256: str) -> str | None:
    """Download a file to `path` once its digest is right; None if that worked, else why it did not."""
    if reason := unreachable(url):
        return reason
    try:
        with urllib.request.urlopen(url, timeout=STALL_S) as answer:
            content = _read(answer, url)
        if hashlib.sha256(content).hexdigest() != sha256:
            return f"{url}: what came is not the file whose SHA-256 is {sha256}"
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    except (OSError, http.client.HTTPException, StoreError) as error:
        return f"{url}: {error}"
    return None


def _read(answer: Any, url: str) -> bytes:
    """All that comes, piece by piece."""
    size = answer.headers.get("Content-Length") or ""
    pieces: list[bytes] = []
    with working(
        f"downloading {url.rpartition('/')[2]}", int(size) / MIB if size.isdecimal() else None, "MiB"
    ) as task:
        while piece := answer.read(PIECE):
            pieces.append(piece)
            task.advance(len(piece) / MIB)
    return b"".join(pieces)


def unreachable(url: str) -> str | None:
    """Why there is no answer from `url` within a few seconds; None if there is one.

    A name server that does not answer holds the resolver for longer than any socket timeout, so the question
    is asked in a thread that may be left behind.
    """
    answer = [f"{url}: no answer within {PATIENCE_S:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE_S).close()
            answer.append("")
        except (OSError, http.client.HTTPException) as error:
            answer.append(f"{url}: {getattr(error, 'reason', error)}")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_S)
    return answer[-1] or None
