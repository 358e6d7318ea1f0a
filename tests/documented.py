"""The commands of the documentation, run page by page; and whether two runs of them came to the same numbers and files.

    python -m tests.documented run FOLDER [PAGE ...]
    python -m tests.documented compare FOLDER OTHER

In a fenced `bash` block each line is run as it stands, in one folder after the other lines of the page. A line that ends in
`# long` is run with `--dry-run`. A change that is to change no number is shown to change none by a run before and one after it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from blockzoo.execution.queue import gpus
from tests.preloaded import Preloaded

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "compat" / "README.md"]
SCREEN = "screen.txt"
"""What the commands of a page print, in its folder."""
CHANCE = re.compile(
    r"seconds|_ms$|_ms_|latency|throughput|(^|_)(time|timestamp|date|version|revision|environment|elapsed)(_|$)|"
    r"^(began|created|updated|heard|pid|host|cpu|device|took|mtime|path|folder)$"
)
"""Names of values that differ between two equal runs: times, and where and when they were taken."""


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a page in that language."""
    return blocks_of(page.read_text(), language)


def blocks_of(text: str, language: str) -> list[str]:
    """The fenced blocks of a text in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prepared(folder: Path) -> dict[str, str]:
    """A folder like a checkout, and an environment in which `python` and `blockzoo` are this installation's."""
    for name in ("scripts", "docs", "examples", "compat"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "my_block.py").write_text((ROOT / "tests" / "my_custom_block.py").read_text())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "110"}


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of each command; of long ones those that plan it, with data that is at hand."""
    for line in "".join(fenced(page, "bash")).replace("\\\n", " ").splitlines():
        command, _, remark = line.partition("  # ")
        if not command.strip() or command.startswith(
            "coverage run"
        ):  # that would run these tests in themselves
            continue
        words = shlex.split(command)
        if remark.startswith("long") and words[0] != "make":
            words.append("--dry-run")
            # even a plan needs the number of classes, which only images at hand give
            absent = {"cifar100", "imagenet"} | (set() if "BLOCKZOO_DATA" in os.environ else {"cifar10"})
            words = ["digits" if word in absent else word for word in words]
            words = ["--dataset=digits" if word == "--dataset=imagenet" else word for word in words]
            many = any(word.startswith("--gpus") for word in words) and not gpus("auto")
            words += ["--cpu"] if many else []
        yield words


def run_page(page: Path, folder: Path, commands: Preloaded) -> None:
    """Run each of its commands in that folder.

    Raises:
        AssertionError: one fails; or names a target that the Makefile lacks.
    """
    environment = prepared(folder)
    for words in commands_of(page):
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
            continue
        done = commands.run(words, folder, environment)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        with (folder / SCREEN).open("a") as screen:
            screen.write(f"$ {shlex.join(words)}\n{done.stdout}")


def run(folder: Path, pages: Sequence[Path]) -> None:
    """Run pages, each in a folder of its own."""
    with Preloaded() as commands:
        for page in pages:
            place = folder / str(page.relative_to(ROOT)).replace("/", "-")
            place.mkdir(parents=True)
            print(place.name, flush=True)
            run_page(page, place, commands)


def compare(one: Path, other: Path) -> list[str]:
    """What differs between two such folders; empty: they hold the same numbers and files."""
    places_of = [{str(p.relative_to(folder)): p for p in _files(folder)} for folder in (one, other)]
    faults = [f"{name}: only in one of them" for name in sorted(set(places_of[0]) ^ set(places_of[1]))]
    for name in sorted(set(places_of[0]) & set(places_of[1])):
        views = [_content(places[name]) for places in places_of]
        if views[0] != views[1]:
            lines = next(
                ([a, b] for a, b in zip(views[0], views[1], strict=False) if a != b),
                [f"{len(view)} parts" for view in views],
            )
            faults.append(f"{name}: {' | '.join(line[:200] for line in lines)}")
    return faults


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):  # links are not followed
        folders[:] = [name for name in folders if name not in ("__pycache__", "profile_memory")]
        for name in names:
            path = Path(place) / name
            if not path.is_symlink() and _reader(path) is not None:
                yield path


def _content(path: Path) -> list[str]:
    reader = _reader(path)
    assert reader is not None
    return reader(path)


def _reader(path: Path) -> Callable[[Path], list[str]] | None:
    """None for what is different each time and says nothing: locks, pictures with times in them, checkpoints."""
    if path.name == SCREEN:
        return _screen
    return READERS.get(path.suffix)


def _screen(path: Path) -> list[str]:
    """Lines without times, rates and folders of the machine."""
    text = re.sub(r"/[\w./-]+/", "", path.read_text())
    text = re.sub(r"\d[\d.,]* ?(ms|µs|us|s|min|h|images/s|seconds)\b", "TIME", text)
    return [re.sub(r"\s+|[━─╸╺]+", " ", line) for line in text.splitlines()]


def _table(path: Path) -> list[str]:
    rows = csv.DictReader(io.StringIO(path.read_text()))
    return [json.dumps({k: v for k, v in row.items() if not CHANCE.search(k or "")}) for row in rows]


def _documents(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [json.dumps(_without_chance(json.loads(line)), sort_keys=True) for line in lines if line.strip()]


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_chance(v) for k, v in value.items() if not CHANCE.search(str(k))}
    return [_without_chance(v) for v in value] if isinstance(value, list) else value


def _store(path: Path) -> list[str]:
    """What each record is of, and its body as plain values."""
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    columns = "kind, fingerprint, subject, status, body"
    rows = connection.execute(f"SELECT {columns} FROM records ORDER BY {columns}").fetchall()
    connection.close()
    return [json.dumps([*facts, _without_chance(json.loads(body))], sort_keys=True) for *facts, body in rows]


def _bytes(path: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest()]


READERS: dict[str, Callable[[Path], list[str]]] = {
    ".csv": _table,
    ".json": _documents,
    ".jsonl": _documents,
    ".sqlite": _store,
    **dict.fromkeys((".native", ".blox", ".pickle", ".onnx", ".npz", ".npy"), _bytes),
}


def main(words: list[str]) -> int:
    """Run or compare; 1 where something differs."""
    verb, folder, *rest = words
    if verb == "run":
        run(Path(folder), [ROOT / name for name in rest] or PAGES)
        return 0
    faults = compare(Path(folder), Path(rest[0]))
    print("\n".join(faults) or "the same numbers and files")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
