"""Installing: the README needs no undeclared package, a wheel works from an empty folder, files beside it are sound."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.documented import ROOT, fenced

PYPROJECT = (ROOT / "pyproject.toml").read_text()
HIDDEN = tuple(
    "pandas pyarrow isal optuna ray submitit tensorboard onnx onnxruntime onnxscript openvino".split()
)
"""Packages of extras."""
HIDES = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN!r}))\n"
"""As if they were not installed: they are neither imported nor found."""
SETUP: dict[str, Any] = runpy.run_path(str(ROOT / "setup.py"), run_name="setup_of_blockzoo")


def declared(extra: str = "") -> list[Requirement]:
    """The requirements of pyproject.toml, of an extra or of the package itself, that hold for this Python."""
    start = f"{extra} = [" if extra else "dependencies = ["
    body = PYPROJECT.partition(f"\n{start}")[2].partition("]\n")[0].replace("[", "").replace("parquet,", "")
    lines = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
    requirements = [Requirement(line) for line in lines]
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]


# --- without what is not declared ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md"])
def test_the_first_lines_of_python_need_only_what_is_declared(page: str, tmp_path: Path) -> None:
    (lines,) = fenced(ROOT / page, "python")
    done = subprocess.run(
        [sys.executable, "-c", HIDES + lines],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ blocks\n\d+ \d+\n", done.stdout)


def test_what_is_hidden_is_hidden_and_not_declared() -> None:
    done = subprocess.run([sys.executable, "-c", HIDES + "import pandas"], capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr
    assert not {canonicalize_name(one.name) for one in declared()} & set(HIDDEN)


IMPORTED_AS = {"PyYAML": "yaml", "pillow": "PIL", "scikit-learn": "sklearn", "lazy-loader": "lazy_loader"}
"""Packages whose modules have another name."""


def imported() -> Iterator[tuple[str, bool, str]]:
    """Each package that a file of ours imports when it runs, whether that is within a function, and the file."""

    def visit(nodes: list[ast.stmt], within: bool) -> Iterator[tuple[str, bool]]:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from visit(node.orelse, within)
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            yield from ((name.partition(".")[0], within) for name in names)
            deeper = within or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from visit(getattr(node, field, []) or [], deeper)

    for path in (ROOT / "blockzoo").rglob("*.py"):
        for package, within in visit(ast.parse(path.read_text(encoding="utf-8")).body, False):
            if package not in sys.stdlib_module_names and package != "blockzoo":
                yield package, within, str(path.relative_to(ROOT))


def test_what_is_imported_is_declared_or_of_an_extra() -> None:
    """At the top of a file only what every installation has; within a function also what an extra brings."""
    always = {IMPORTED_AS.get(one.name, one.name).replace("-", "_") for one in declared()} | {
        "tomli",
        "tomllib",
    }  # by version
    wrong = {
        (package, file)
        for package, within, file in imported()
        if package not in always | (set(HIDDEN) | {"pynvml"} if within else set())
    }
    assert wrong == set()
    assert {"numpy", "torch", "yaml"} <= {package for package, within, _ in imported() if not within}


# --- the README as an index shows it ----------------------------------------------------------------


def test_the_readme_of_an_index_has_no_relative_link() -> None:
    on_an_index, link = SETUP["on_an_index"], SETUP["LINK"]
    readme = (ROOT / "README.md").read_text()
    relative = [match["target"] for match in link.finditer(readme)]
    assert "docs/images/accuracy_flops.png" in relative and "docs/installing.md#without-a-gpu" in relative
    made = on_an_index(readme, "https://example.org/zoo/")
    assert not link.search(made)
    assert "](https://example.org/zoo/raw/HEAD/docs/images/accuracy_flops.png)" in made
    assert "](https://example.org/zoo/blob/HEAD/docs/installing.md#without-a-gpu)" in made
    assert not link.search(on_an_index(readme, None)) and "![" not in on_an_index(readme, None)


def test_the_repository_is_said_once() -> None:
    said = SETUP["repository_in"]
    assert said('[project.urls]\nRepository = "https://example.org/zoo"\n') == "https://example.org/zoo"
    assert said('# With `Repository = "https://..."` here') is None
    assert PYPROJECT.count("[project.urls]") == 1


# --- versions ---------------------------------------------------------------------------------------


def test_constraints_hold_every_declared_package_within_its_bounds() -> None:
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        one = Requirement(line)
        pins.setdefault(canonicalize_name(one.name), []).append(one)
    for python in ("3.10", "3.11", "3.12", "3.13"):
        for requirement in declared():
            held = [
                p
                for p in pins.get(canonicalize_name(requirement.name), [])
                if p.marker is None
                or p.marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})
            ]
            assert len(held) == 1, f"{requirement} on {python}: {held}"
            (pin,) = held[0].specifier
            assert requirement.specifier.contains(pin.version), f"{requirement}: {pin}"


def test_classifiers_say_what_the_page_says_was_run() -> None:
    classified = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
    table = (ROOT / "docs" / "installing.md").read_text().partition("## Which Pythons")[2]
    assert (
        classified == re.findall(r"^\| (3\.\d+)(?:\.\d+)? \|", table, re.MULTILINE) and "3.11" in classified
    )


# --- containers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_containers_are_made_of_the_wheel_and_run_without_rights(kind: str) -> None:
    """They are read, not built: there is no Docker where the tests run."""
    text = (ROOT / "docker" / f"{kind}.Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    words = [line.split(maxsplit=1) for line in lines]
    assert {word for word, _ in words} <= set("FROM WORKDIR COPY RUN USER ENV ENTRYPOINT CMD".split())
    stages = [rest for word, rest in words if word == "FROM"]
    bases = {stage.split()[0] for stage in stages}
    assert len(stages) == 2 and len(bases) == 1
    version = re.fullmatch(r"python:(3\.\d+)-slim", bases.pop())
    assert version is not None and f':: Python :: {version[1]}"' in PYPROJECT
    last = words[[word for word, _ in words].index("FROM", 1) :]
    assert ["COPY", "--from=wheel /wheels /wheels"] in last and not [
        r for w, r in last if w == "COPY" and " . " in r
    ]
    order = [word for word, _ in last]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word == "RUN")
    assert ["USER", "blockzoo"] in last and ["ENTRYPOINT", '["blockzoo"]'] in last
    (install,) = [rest for word, rest in last if word == "RUN"]
    assert "-c /wheels/constraints.txt /wheels/*.whl" in install
    without = install.index("whl/cpu torch torchvision") if kind == "cpu" else None
    assert without is None or without < install.index("/wheels/*.whl")
    assert ("whl/cpu" in install) == (kind == "cpu")
    built = re.findall(r"docker build -f (\S+) -t (\S+) \.", text)
    assert built == [(f"docker/{kind}.Dockerfile", "blockzoo" + "-cuda" * (kind == "cuda"))]


def test_torch_without_cuda_is_explained_as_make_does_it() -> None:
    index = re.findall(r"^WITHOUT_CUDA := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = (ROOT / "docs" / "installing.md").read_text()
    assert (
        len(index) == 1
        and f"pip install -c constraints.txt torch torchvision --index-url {index[0]}\n" in page
    )


# --- a wheel ----------------------------------------------------------------------------------------


def closure() -> list[str]:
    """The distributions here that pip would install for the package without extras, and no other."""
    names: dict[str, None] = {}
    asked = [(one.name, tuple(one.extras)) for one in declared()]
    seen = set()
    while asked:
        name, extras = asked.pop()
        if (key := (canonicalize_name(name), extras)) in seen:
            continue
        seen.add(key)
        try:
            known = distribution(name)
        except PackageNotFoundError:  # of another platform
            continue
        names[canonicalize_name(name)] = None
        for text in known.requires or ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                asked.append((one.name, tuple(one.extras)))
    return list(names)


def linked(name: str, folder: Path) -> None:
    """What a distribution has at the top of site-packages, as links."""
    known = distribution(name)
    for top in {file.parts[0] for file in known.files or ()} - {"..", "__pycache__"}:
        if (source := Path(str(known.locate_file(top)))).exists() and not (folder / top).exists():
            (folder / top).symlink_to(source)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_a_wheel_holds_what_the_commands_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
    for path in (ROOT / "blockzoo").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names, path
    examples = {p.relative_to(ROOT).as_posix() for p in (ROOT / "examples").rglob("*.py")}
    assert {f"blockzoo/{name}" for name in examples} | {"blockzoo/CITATION.cff"} <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "scripts/"))]
    assert "Description-Content-Type: text/markdown" in metadata and not SETUP["LINK"].search(metadata)


COMMANDS = """
blockzoo --version
blockzoo blocks
blockzoo examples own_block
blockzoo profile own_block.py:HalfBlock ResNetBasicBlock --position late
blockzoo train ResNetBasicBlock --dataset digits --epochs 1 --base-channels 4 --num-blocks 1 --limit-train 128
blockzoo results
blockzoo visualize
blockzoo cite ResNetBasicBlock digits
blockzoo nas info mini
blockzoo nas search --benchmark mini --algorithm random evolution --seeds 2 --budget 10
blockzoo blockwise --dataset digits --image-size 8 --rounds 2
blockzoo tile plan model:resnet8_half --mode exact --budget 256KiB
blockzoo report results --output site
""".strip().splitlines()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_wheel_without_extras_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """In an environment that holds the declared packages, what these declare, and nothing else."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    (packages,) = home.glob("lib/python*/site-packages")
    for name in closure():
        linked(name, packages)
    own = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("BLOCKZOO")
    }
    own |= {"PATH": f"{home / 'bin'}{os.pathsep}{own['PATH']}", "BLOCKZOO_CACHE": str(tmp_path / "cache")}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=empty, env=own, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    (empty := tmp_path / "empty").mkdir()
    run(str(python), "-m", "pip", "install", "-q", "--no-deps", str(wheel))
    run(str(python), "-m", "pip", "check")
    absent = f"import importlib.util as u; assert not [n for n in {HIDDEN!r} if u.find_spec(n)]"
    run(str(python), "-c", absent)
    said = {command: run(*shlex.split(command)) for command in COMMANDS}
    assert (
        "He, Kaiming" in said["blockzoo cite ResNetBasicBlock digits"]
        or "He and others" in said["blockzoo cite ResNetBasicBlock digits"]
    )
    (lines,) = fenced(ROOT / "README.md", "python")
    run(str(python), "-c", lines)
    lacking = "from blockzoo.core.extras import how_to_install; print(how_to_install('onnx'))"
    assert run(str(python), "-c", lacking).strip() == f"pip install '{wheel}[onnx]'"
