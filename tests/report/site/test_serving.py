"""A site over HTTP: to this machine alone, its own files and no others."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.report.site.serving import server_of


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    site = tmp_path / "site"
    (site / "blocks").mkdir(parents=True)
    (site / "index.html").write_text("<p>here")
    (site / "blocks" / "a.html").write_text("a block")
    (site / ".hidden").write_text("secret")
    (tmp_path / "beside.txt").write_text("secret")
    (site / "link.txt").symlink_to(tmp_path / "beside.txt")
    with server_of(site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert server.server_address[0] == "127.0.0.1"
        yield server.server_port
        server.shutdown()
        thread.join()


def asked(
    port: int, path: str, host: str = "localhost", method: str = "GET"
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"{host}:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_it_gives_the_pages_of_the_site(port: int) -> None:
    status, text, heads = asked(port, "/")
    assert (status, text) == (200, b"<p>here") and heads["X-Content-Type-Options"] == "nosniff"
    assert asked(port, "/blocks/a.html?x=1")[1] == b"a block"
    assert asked(port, "/", method="HEAD")[:2] == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/../beside.txt", "/%2e%2e/beside.txt", "/link.txt", "/.hidden", "/blocks/", "/none", "//etc/passwd"],
)
def test_it_gives_nothing_else(path: str, port: int) -> None:
    status, text, _ = asked(port, path)
    assert status == 404 and b"secret" not in text


def test_a_page_of_another_name_gets_nothing(port: int) -> None:
    assert asked(port, "/", host="evil.example")[0] == 403
    assert asked(port, "/", method="POST")[0] == 501


def test_a_folder_without_a_site_and_a_port_that_is_taken_are_refused(port: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="blockzoo report"):
        server_of(tmp_path)
    with pytest.raises(UsageError, match="--port"):
        server_of(tmp_path / "site", port)
    with pytest.raises(UsageError, match="--port"):
        server_of(tmp_path / "site", 70000)
