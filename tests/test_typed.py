"""What users and their editors see of the package: every public name has a type, and the wheel says so."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from blockzoo import contracts
from blockzoo.core.discovery import declarations
from blockzoo.core.registry import Registry

ROOT = Path(__file__).parents[1]
PACKAGES = ["blockzoo", "blockzoo.nas", "blockzoo.blockwise", "blockzoo.tiling"]


def test_each_lazily_exported_name_has_a_type(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    names = [f"{p}.{name}" for p in PACKAGES for name in importlib.import_module(p).__all__]
    file = tmp_path / "names.py"
    file.write_text("\n".join([f"import {p}" for p in PACKAGES] + [f"reveal_type({name})" for name in names]))
    done = subprocess.run(  # in the root: the types that `make lint` has found are used again
        [sys.executable, "-m", "mypy", "--no-pretty", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = [
        line.partition("Revealed type is ")[2] for line in done.stdout.splitlines() if "Revealed" in line
    ]
    types = dict(zip(names, revealed, strict=True))
    assert not {name for name, kind in types.items() if kind == '"Any"'}
    assert types["blockzoo.train_block"].startswith('"def (subject: ')
    assert types["blockzoo.nas.Dataset"].endswith('blockzoo.nas.benchmark.dataset.Dataset"')


def test_what_comes_with_us_keeps_the_contract_of_its_door(tmp_path: Path) -> None:
    """Each class or function that is registered may be put into its registry, says mypy."""
    pytest.importorskip("mypy")
    doors = [name for name in contracts.__all__ if isinstance(getattr(contracts, name), Registry)]
    lines, modules = [], set()
    for door in doors:
        for declared in declarations(door):
            modules.add(declared.module)
            lines.append(f"contracts.{door}[{declared.name!r}] = {declared.module}.{declared.attribute}")
    assert len(lines) > 100
    file = tmp_path / "registered.py"
    imports = [f"import {module}" for module in sorted(modules)]
    file.write_text("\n".join(["from blockzoo import contracts", *imports, *lines]))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_says_that_it_has_types(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    for name in (
        "pyproject.toml",
        "setup.py",
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "examples",
        "blockzoo",
    ):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    build = "import setuptools.build_meta as backend; backend.build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    stubs = {str(path.relative_to(ROOT)) for path in (ROOT / "blockzoo").rglob("*.pyi")}
    assert len(stubs) == len(PACKAGES)
    assert {"blockzoo/py.typed", *stubs} <= set(zipfile.ZipFile(wheel).namelist())
