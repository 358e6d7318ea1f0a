"""What is tried against the promises of docs/security.md: each attempt is repeated with other inputs, and counts what held.

`python scripts/security.py` runs all of them and writes the table at the end of that page; the tests run a few of each.
"""

from __future__ import annotations

import contextlib
import importlib._bootstrap_external as bytecode
import importlib.util
import io
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockzoo.core import trusted
from blockzoo.core.errors import BlockzooError
from blockzoo.core.outputs import read_rows
from blockzoo.core.plugins import load_module, project_of, read_options
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from tests.core import test_files, test_text
from tests.execution import test_children


@dataclass(frozen=True)
class Attempt:
    """One kind: what is tried, how often for the page, and the trial itself."""

    name: str
    times: int
    few: int
    once: Callable[[random.Random, Path], bool]
    """Tries it with inputs drawn from the generator, in an empty folder of its own; whether the promise held."""


ATTEMPTS: list[Attempt] = []


def attempt(name: str, times: int, few: int = 3) -> Callable[[Callable[[random.Random, Path], bool]], Any]:
    """Register what a function tries."""

    def add(once: Callable[[random.Random, Path], bool]) -> Callable[[random.Random, Path], bool]:
        ATTEMPTS.append(Attempt(name, times, few, once))
        return once

    return add


def held(tried: Attempt, number: int, folder: Path) -> bool:
    """Whether the promise held in one try, which depends on its number alone."""
    folder.mkdir()
    here = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return tried.once(random.Random(f"{tried.name} {number}"), folder.resolve())
    finally:
        os.chdir(here)


# --- code -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def hostile_code(folder: Path, draw: random.Random) -> Iterator[tuple[str, Path]]:
    """A text that names code, which leaves a file when it runs, and that file."""
    ran, stem = folder / "RAN", f"m{draw.randrange(10**9)}"
    source = f"open({str(ran)!r}, 'w')\nclass Net: ...\nclass measure: ...\n"
    (folder / "p").mkdir()
    for place in (folder / f"{stem}.py", folder / "p" / "__init__.py", folder / "p" / f"{stem}.py"):
        place.write_text(source)
    origin = draw.choice(
        [f"{stem}.py", f"./{stem}.py", str(folder / f"{stem}.py"), f"p/{stem}.py", stem, f"p.{stem}"]
    )
    text = f"{draw.choice(['', '', 'tiled:F8:', 'tiled:H4x4:'])}{origin}:{draw.choice(['Net', 'measure'])}"
    sys.path.insert(0, str(folder))
    try:
        yield text + draw.choice(["", "", "/mid", ":0.5"]), ran
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.startswith((stem, "p."))] + ["p"]:
            sys.modules.pop(name, None)


@attempt("a record of a results store names code; the store is read, and a benchmark made of it", 300)
def _records(draw: random.Random, folder: Path) -> bool:
    from blockzoo.nas.benchmark.release import build_release

    with hostile_code(folder, draw) as (text, ran):
        spec = TrialSpec(network=NetworkSpec("model:resnet8_half"), dataset="digits").to_json()
        spec["network"][draw.choice(["subject", "filler"])] = text
        if draw.random() < 0.5:
            spec["dataset"] = text
        subject = draw.choice(["macro:5", text])
        Store(folder / "results.sqlite").add(
            Record("trial", "f" * 16, subject, spec, values={"image_size": 8})
        )
        for read in (lambda: read_rows(folder), lambda: build_release(folder, folder / "release")):
            with contextlib.suppress(BlockzooError):
                read()
        return not ran.exists()


@attempt("a study, a sweep file or a file of units names code at any depth, and is read", 500)
def _options(draw: random.Random, folder: Path) -> bool:
    from blockzoo.blockwise.sweep import BlockwiseStudy
    from blockzoo.blockwise.units import make_units, read_units
    from blockzoo.tiling.experiments.paired_runs import TilingStudy
    from blockzoo.trials.study import read_study

    with hostile_code(folder, draw) as (text, ran):
        value: Any = text
        for _ in range(draw.randrange(4)):
            value = draw.choice(
                [lambda v: [v], lambda v: {"a": v}, lambda v: {v: 1} if isinstance(v, str) else [1, v]]
            )(value)
        key = draw.choice(["base", "vary", "archs", "model", "stopper", "plugin"])
        import json

        (folder / "s.yaml").write_text(json.dumps({key: value}))
        (folder / "u.txt").write_text(f"{text} a=1\n")
        for read in (
            lambda: read_options(Path("s.yaml")),
            lambda: read_study(Path("s.yaml"), BlockwiseStudy),
            lambda: read_study(Path("s.yaml"), TilingStudy),
            lambda: make_units(read_units(Path("u.txt"))),
        ):
            with contextlib.suppress(BlockzooError):
                read()
        return not ran.exists()


@attempt(
    "a module named as one of Python's, or of a library, lies in the current folder of a fork server and its workers",
    40,
    0,
)
def _shadows(draw: random.Random, folder: Path) -> bool:
    here, theirs = folder / "here", folder / "theirs"
    here.mkdir()
    theirs.mkdir()
    for name in draw.sample(sorted(sys.stdlib_module_names), 60) + test_children.SHADOWS:
        (here / f"{name}.py").write_text(f"open({str(folder / 'RAN')!r}, 'a')\n")
    (theirs / "tells.py").write_text(test_children.TELLS)
    (folder / "program.py").write_text(test_children.PROGRAM)
    path = os.pathsep.join([str(theirs), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, str(folder / "program.py")],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
    )
    return done.returncode == 0 and not (folder / "RAN").exists()


@attempt("one byte of a trusted project (its file, or a plugin) is changed, added or taken away", 1000, 10)
def _changed(draw: random.Random, folder: Path) -> bool:
    os.environ["BLOCKZOO_CONFIG"] = str(folder / "configuration")
    (folder / "pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["a.py", "b.py"]\n')
    for name in "ab":
        (folder / f"{name}.py").write_text(f"x = {draw.random()}\n" * draw.randrange(1, 5))
    project = project_of(folder)
    assert project is not None
    trusted.trust(project)
    if not trusted.allowed(project):
        return False
    path = folder / draw.choice(["a.py", "b.py"])
    content = bytearray(path.read_bytes())
    place, byte = draw.randrange(len(content)), draw.randrange(256)
    how = draw.randrange(3)
    if how == 0:
        content[place] ^= byte or 1
    elif how == 1:
        content.insert(place, byte)
    else:
        del content[place]
    path.write_bytes(content)
    return not trusted.allowed(project)


@attempt("a plugin lies beside compiled code of another source that Python would take for its own", 50)
def _compiled(draw: random.Random, folder: Path) -> bool:
    path = folder / "plugin.py"
    path.write_text(f"x = {draw.random()}\n")
    other = compile(f"open({str(folder / 'RAN')!r}, 'w')", str(path), "exec")
    cached = Path(importlib.util.cache_from_source(str(path)))
    cached.parent.mkdir()
    if draw.random() < 0.5:
        cached.write_bytes(bytecode._code_to_hash_pyc(other, b"\0" * 8, False))
    else:
        status = path.stat()
        cached.write_bytes(bytecode._code_to_timestamp_pyc(other, int(status.st_mtime), status.st_size))
    load_module(str(path))
    return not (folder / "RAN").exists()


# --- files ------------------------------------------------------------------------------------------


@attempt("names that blockzoo writes, locks or makes on the way are links to a file elsewhere", 200, 5)
def _links(draw: random.Random, folder: Path) -> bool:
    victim, place = folder / "elsewhere" / "victim", folder / "here"
    victim.parent.mkdir()
    place.mkdir()
    victim.write_text("precious")
    for name in draw.sample(test_files.NAMES, draw.randrange(1, len(test_files.NAMES))):
        (place / name).symlink_to(draw.choice([victim, victim.parent / "new"]))
    with contextlib.suppress(BlockzooError):
        test_files.WRITERS[draw.choice(sorted(test_files.WRITERS))](place, folder)
    return victim.read_text() == "precious" and [p.name for p in victim.parent.iterdir()] == ["victim"]


# --- text -------------------------------------------------------------------------------------------

MEDIA = {
    "a terminal": test_text.test_a_terminal_gets_nothing_to_obey,
    "a cell of CSV, read again": test_text.test_a_cell_is_no_formula_and_is_read_as_it_was,
    "Markdown": test_text.test_markdown_has_no_signs_of_its_own,
    "HTML and the data of its script": test_text.test_a_page_has_no_tags_of_a_name,
    "a picture": test_text.test_a_picture_has_no_formulas_of_a_name,
    "the name of a file": test_text.test_a_part_of_a_file_name_stays_in_its_folder,
}


def hostile_name(draw: random.Random) -> str:
    """Some of the known fragments, and characters of any kind."""
    ends = [draw.choice([128, 0x2100, 0x110000]) for _ in range(5)]
    fragments = [
        *draw.sample(test_text.HOSTILE, draw.randrange(1, 4)),
        *(chr(draw.randrange(end)) for end in ends),
    ]
    return "".join(draw.sample(fragments, draw.randrange(1, 5)))


def _in_medium(check: Any) -> Callable[[random.Random, Path], bool]:
    def once(draw: random.Random, folder: Path) -> bool:
        try:
            check.hypothesis.inner_test(hostile_name(draw))
        except AssertionError:
            return False
        return True

    return once


for _medium, _check in MEDIA.items():
    attempt(f"a name of hostile characters in {_medium}", 5000, 50)(_in_medium(_check))
