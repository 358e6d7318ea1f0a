"""serve: the site of a results folder in a browser, on this machine alone"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def serve(
    source: Annotated[
        Path,
        Parameter(help="a site of `blockzoo report`, or a results folder, store or table to make one of"),
    ] = Path("results"),
    *,
    port: Annotated[int, Parameter(help="on the loopback address; 0 for any that is free")] = 8000,
    plugins: o.Plugins = (),
) -> None:
    """Show a site at http://127.0.0.1, until it is interrupted. Nothing outside this machine can reach it.

    Of results the site is made anew, in a temporary folder.

    Examples:
        blockzoo serve results
        blockzoo serve site --port 8080
    """
    from blockzoo.card.further import further_of
    from blockzoo.report.site.build import build_site

    if (source / "index.html").is_file():
        _show(source, port)
        return
    with TemporaryDirectory() as folder:
        build_site(source, folder, further=further_of(source))
        _show(Path(folder), port)


def _show(folder: Path, port: int) -> None:
    from blockzoo.report.site.serving import server_of

    with server_of(folder, port) as server:
        screen.out.print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
