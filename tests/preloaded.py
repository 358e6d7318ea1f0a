"""Commands of ours in processes that have torch already: forked from one that imported it once.

    with Preloaded() as commands:
        done = commands.run(["blockzoo", "blocks"], cwd=folder, env=environment)

Starting Python and importing libraries takes four seconds a command, and a page of the documentation has thirty. Only modules
of others are imported beforehand: ours are read anew by each command, in its own folder and environment.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    "torch torchvision.transforms.v2 lightning.pytorch lightning.fabric timm matplotlib.pyplot numpy pydantic cyclopts "
    "rich.console rich.table rich.progress sqlite3 yaml onnx"
).split()


class Preloaded:
    """A process that runs commands in forks of itself, one after the other."""

    def __enter__(self) -> Preloaded:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`; what is no command of ours or Python's is run by that."""
        if words[0] not in ("blockzoo", "python", "python3"):
            return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
        with tempfile.TemporaryDirectory() as folder:
            written = [str(Path(folder) / name) for name in ("stdout", "stderr")]
            asked = {"words": list(words), "cwd": str(cwd), "env": dict(env), "written": written}
            assert self._server.stdin and self._server.stdout
            self._server.stdin.write(json.dumps(asked) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            said = [Path(path).read_text() for path in written]
        return subprocess.CompletedProcess(list(words), code, *said)


def serve() -> None:
    """Read requests from the standard input, and answer each with an exit code."""
    del sys.path[0]  # the folder that this was started in
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # a fork that collects garbage would copy all of it
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            os._exit(ended(**json.loads(line)))  # Python's own end would visit, and so copy, all modules
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def ended(words: list[str], **seat: Any) -> int:
    """Be the command to its end; its exit code."""
    code: Any = 0
    try:
        sit(**seat)
        main(words)
    except SystemExit as error:
        code = error.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def sit(cwd: str, env: dict[str, str], written: list[str]) -> None:
    """Take the folder, environment, output and module path of a command."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(written, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    before = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [*before, *(place for place in sys.path if place not in before)]


def main(words: list[str]) -> None:
    """What Python does with these words."""
    if words[0] == "blockzoo":
        sys.argv = words
        sys.exit(importlib.import_module("blockzoo.cli").main())
    kind, *rest = words[1:]
    if kind == "-m":
        sys.argv = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [kind, *rest]
        sys.path.insert(0, str(Path(kind).resolve().parent))
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    serve()
